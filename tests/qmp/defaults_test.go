package qmp

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestDefaults: what a machine has without being asked is called the same and connected to the same.
func TestDefaults(t *testing.T) {
	bins := []string{testprog.QEMU(t), testprog.Goemu(t)}
	for _, name := range []string{"pc", "q35"} {
		t.Run(name, func(t *testing.T) {
			for _, command := range []string{"query-block", "query-chardev"} {
				var lists [2][]map[string]any
				for i, bin := range bins {
					m := &machine{t: t}
					m.launch(bin, "-display", "none", "-qmp", "stdio", "-accel", "tcg", "-M", name, "-m", "64", "-S")
					m.say(`{"execute": "qmp_capabilities"}`)
					m.say("")
					lines := m.say(`{"execute": "` + command + `"}`)
					var r struct{ Return []map[string]any }
					require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &r))
					for _, e := range r.Return {
						delete(e, "qdev")
						lists[i] = append(lists[i], e)
					}
				}
				assert.ElementsMatch(t, lists[0], lists[1], command)
			}
		})
	}
}
