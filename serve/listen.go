package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Serve answers the connections of l until ctx ends. It then says that it is not ready, accepts no
// more connections, and returns when the requests that were accepted are answered, or after grace
// with an error. It closes l, and leaves s to its owner.
func (s *Server) Serve(ctx context.Context, l net.Listener, grace time.Duration) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		WriteTimeout:      s.options.ReadTimeout + s.options.Timeout + 30*time.Second,
		MaxHeaderBytes:    s.options.MaxHeader,
		ErrorLog:          slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.Drain()
	s.options.Log.Info("finishing the requests that were accepted", "grace", grace)
	limit, stop := context.WithTimeout(context.Background(), grace)
	defer stop()
	if err := server.Shutdown(limit); err != nil {
		_ = server.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			return errors.New("requests were still being answered when the time to finish them was over")
		}
		return err
	}
	return nil
}
