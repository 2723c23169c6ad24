package kvm

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestStats: the kernel's statistics are QEMU's, and count what the guest does.
func TestStats(t *testing.T) {
	needKVM(t)
	image := firmware(t, "ticks.asm")
	q := launchOf(t, testprog.QEMU(t), image, "-accel", "kvm", "-smp", "2")
	g := launch(t, image, "-accel", "kvm", "-smp", "2")
	for _, m := range []*machine{q, g} {
		m.ticks(3)
	}
	require.JSONEq(t, string(q.do("query-stats-schemas", "")), string(g.do("query-stats-schemas", "")))

	type result struct {
		QOMPath string `json:"qom-path"`
		Stats   []struct {
			Name  string
			Value json.RawMessage
		}
	}
	read := func(m *machine, arguments string) (list []result) {
		require.NoError(t, json.Unmarshal(m.do("query-stats", arguments), &list))
		return list
	}
	values := regexp.MustCompile(`\d+|true|false|: yes|: no\b`)
	for _, arguments := range []string{`{"target":"vm"}`, `{"target":"vcpu"}`, `{"target":"vcpu","providers":[{"provider":"kvm","names":["halt_wait_hist","exits"]}]}`,
		`{"target":"vcpu","vcpus":["/machine/unattached/device[0]"]}`, `{"target":"vcpu","vcpus":[]}`, `{"target":"vm","providers":[]}`,
		`{"target":"vm","providers":[{"provider":"kvm","names":[]}]}`, `{"target":"vm","providers":[{"provider":"kvm"},{"provider":"kvm","names":["pages_4k"]}]}`} {
		want, got := read(q, arguments), read(g, arguments)
		for _, list := range [][]result{want, got} {
			for i := range list {
				for j := range list[i].Stats {
					v := &list[i].Stats[j].Value
					*v = values.ReplaceAll(*v, []byte("0"))
				}
			}
		}
		require.Equal(t, want, got, arguments)
	}
	for _, line := range []string{"info stats vm", "info stats vcpu", "info stats vcpu exits,halt_wait_hist kvm", "info stats vm *", "info stats vcpu nosuch"} {
		require.Equal(t, values.ReplaceAllString(q.hmp(line), "0"), values.ReplaceAllString(g.hmp(line), "0"), line)
	}
	require.NotRegexp(t, `: 0\n`, g.hmp("info stats vcpu exits kvm"))
}
