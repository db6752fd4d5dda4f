package serve

import (
	_ "embed"
	"net/http"
)

// description is the OpenAPI description of every path; a test holds the handlers to it.
//
//go:embed openapi.json
var description []byte

// openAPI answers GET /openapi.json.
func openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	send(w, http.StatusOK, description)
	return nil
}
