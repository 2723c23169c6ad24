package socket

import (
	"encoding/binary"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"goemu/internal/netdev"
)

// counter is a peer that counts frames and has room for some.
type counter struct{ frames, room atomic.Int64 }

func (c *counter) Receive([]byte, *netdev.Offload) bool {
	if c.room.Load() == 0 {
		return false
	}
	c.room.Add(-1)
	c.frames.Add(1)
	return true
}

func (c *counter) Resume()      {}
func (c *counter) LinkChanged() {}
func (c *counter) Close()       {}

// TestSettle sends frames through a socket and finds each at the peer once Settle returns, unless the peer has no room.
func TestSettle(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	c, err := connOf(fds[0])
	require.NoError(t, err)
	set, peer := netdev.NewSet(), new(counter)
	const n = 500
	peer.room.Store(n)
	p := newStream(set, "socket", "s", set.Add(&netdev.Client{Name: "w", Kind: "wire", Model: "wire"}, peer, nil))
	p.start(c)
	defer p.Close()
	frame := append(binary.BigEndian.AppendUint32(nil, 60), make([]byte, 60)...)
	for i := range n {
		_, err := unix.Write(fds[1], frame)
		require.NoError(t, err)
		set.Settle()
		require.EqualValues(t, i+1, peer.frames.Load())
	}
	_, err = unix.Write(fds[1], frame)
	require.NoError(t, err)
	set.Settle()
	require.EqualValues(t, n, peer.frames.Load())
	require.NoError(t, unix.Close(fds[1]))
}
