package block

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// host is a protocol's state that counts how often the writeback begins.
type host struct{ begun int }

func (h *host) StartWriteback() { h.begun++ }
func (h *host) Close()          {}

func TestWriteBehind(t *testing.T) {
	for name, c := range map[string]struct {
		mode Mode
		want int
	}{
		"": {want: 2}, "read-only": {mode: Mode{ReadOnly: true}}, "no flush": {mode: Mode{NoFlush: true}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &host{}
			n := &Node{state: h, mode: c.mode}
			var w WriteBehind
			for range 2*writeBehindStep>>20 + 1 {
				w.Wrote(n, 1<<20)
			}
			require.Equal(t, c.want, h.begun)
		})
	}
}
