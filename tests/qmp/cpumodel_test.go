package qmp

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// unlikeExpansion are properties whose values differ: the translator here has more features, which "max" shows, and one default is 0 in QEMU
// until a CPU is made.
var unlikeExpansion = map[string]bool{"phys-bits": true}

// TestCPUModelExpansion expands models as libvirt does: what both emulators know of a model is the same.
func TestCPUModelExpansion(t *testing.T) {
	args := []string{"-accel", "tcg", "-M", "pc", "-S"}
	goemu := testprog.Goemu(t) // may have to be built, which must not be part of the machines' time
	machines := []*machine{start(t, oracle, "-qmp", args...), start(t, goemu, "-qmp", args...)}
	for _, m := range machines {
		m.say("")
		m.say(`{"execute": "qmp_capabilities"}`)
	}
	for _, model := range []string{`"name": "qemu64"`, `"name": "486"`, `"name": "Nehalem"`, `"name": "Icelake-Server"`, `"name": "EPYC-Milan"`, `"name": "Opteron_G5"`,
		`"name": "Icelake-Server-v6", "props": {"avx512f": false, "pdpe1gb": false, "vendor": "GenuineIntel"}`, `"name": "EPYC", "props": {"svm": false}`} {
		for _, kind := range []string{"static", "full"} {
			var props [2]map[string]any
			for i, m := range machines {
				lines := m.say(fmt.Sprintf(`{"execute": "query-cpu-model-expansion", "arguments": {"type": %q, "model": {%s}}}`, kind, model))
				var reply struct {
					Return struct {
						Model struct{ Props map[string]any }
					}
				}
				require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &reply), lines)
				props[i] = reply.Return.Model.Props
			}
			require.Greater(t, len(props[1]), 200)
			for name, v := range props[1] {
				want, ok := props[0][name]
				if ok && !unlikeExpansion[name] {
					assert.Equal(t, want, v, "%s %s: %s", kind, model, name)
				}
			}
		}
	}
}
