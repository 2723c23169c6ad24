package netdev

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/qapi"
)

// queue is a port that notes its end.
type queue struct {
	Pump
	closed bool
}

// Close implements Port.
func (q *queue) Close() { q.closed = true }

// TestOpenFails: a back end of which a queue cannot be opened leaves nothing, and its ID can be used again.
func TestOpenFails(t *testing.T) {
	s := NewSet()
	first := new(queue)
	fail := true
	s.Kinds["tap"] = func(s *Set, n *qapi.Netdev, peer *Client) error {
		s.Add(&Client{Name: n.Id, Kind: "tap", Model: "tap"}, first, peer)
		if fail {
			return errors.New("no second queue")
		}
		return nil
	}
	n := &qapi.Netdev{Id: "t", Type: "tap"}
	require.EqualError(t, s.Open(n), "no second queue")
	require.Empty(t, s.Clients())
	require.True(t, first.closed)
	fail = false
	require.NoError(t, s.Open(n))
	require.EqualError(t, s.Open(n), "Duplicate ID 't'")
	require.NoError(t, s.Delete("t"))
}
