package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// guarded is recovering for requests that need the token, if there is one, and that no page of
// another site may make.
func (s *Server) guarded(pattern string, h func(http.ResponseWriter, *http.Request) error) http.Handler {
	cross := http.NewCrossOriginProtection()
	return s.recovering(pattern, func(w http.ResponseWriter, r *http.Request) error {
		if err := s.authorised(w, r); err != nil {
			return err
		}
		if err := cross.Check(r); err != nil {
			return failure(http.StatusForbidden, "a page of another site may not use this server")
		}
		if s.options.Token == "" && fromBrowser(r) && !s.ownHost(r) {
			return failure(http.StatusForbidden, "a browser may not use this server by the name %.100q; serve with a token, or allow the name", r.Host)
		}
		return h(w, r)
	})
}

// authorised returns an error unless the request has the server's token.
func (s *Server) authorised(w http.ResponseWriter, r *http.Request) error {
	if s.options.Token == "" {
		return nil
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(s.options.Token)) // equal lengths, compared in constant time
	if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(a[:], b[:]) == 1 {
		return nil
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="residual"`)
	return failure(http.StatusUnauthorized, "the header Authorization: Bearer TOKEN is missing or has another token")
}

// fromBrowser reports whether a page in a browser made the request.
func fromBrowser(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != ""
}

// ownHost reports whether the request names the server by an address or by a name that no other
// site can point at it.
func (s *Server) ownHost(r *http.Request) bool {
	u := url.URL{Host: r.Host}
	name := strings.ToLower(u.Hostname())
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.ContainsFunc(s.options.Hosts, func(h string) bool { return strings.EqualFold(h, name) }) {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// Loopback reports whether only programs of this machine reach a server at addr, such as
// 127.0.0.1:8000.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
