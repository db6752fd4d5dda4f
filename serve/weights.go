package serve

import (
	"slices"
	"sync"

	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/nn"
)

// store holds the networks that a server computes. Models whose networks are equal, such as one file
// under two names, share one.
type store struct {
	turns inference.Turns // of all networks, since each computes with all threads

	mu   sync.Mutex
	held []*network
}

// network is the network of one model or of several.
type network struct {
	*inference.Classifier
	users int
	bytes int64 // of its parameters
}

// take makes c's network one of the server's and closes c. It returns a classifier for c's model and a
// function that gives it back.
func (s *store) take(c *inference.Classifier) (own *inference.Classifier, release func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &network{Classifier: c, bytes: 4 * nn.Count(c.Module())}
	if i := slices.IndexFunc(s.held, func(other *network) bool { return other.SameNetwork(c) }); i >= 0 {
		n = s.held[i]
	} else {
		c.TakeTurns(&s.turns)
		s.held = append(s.held, n)
	}
	n.users++
	own = c.Sharing(n.Classifier)
	own.TakeTurns(&s.turns)
	if n.Classifier != c {
		_ = c.Close() // nothing has used it
	}
	return own, func() error {
		err := own.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		if n.users--; n.users > 0 {
			return err
		}
		s.held = slices.DeleteFunc(s.held, func(other *network) bool { return other == n })
		return n.Close()
	}
}

// bytes returns the size of the parameters of all networks.
func (s *store) bytes() (sum int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.held {
		sum += n.bytes
	}
	return sum
}
