package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/pc"
	"goemu/hw/qdev"
	"goemu/internal/chardev"
	"goemu/internal/config"
	"goemu/internal/mainloop"
)

// TestBackendsInTree: objects and character devices are where management tools look for them.
func TestBackendsInTree(t *testing.T) {
	s := &session{machine: &pc.Machine{Tree: qdev.NewTree(qdev.NewRegistry())}}
	s.host.chars = chardev.NewSet(mainloop.Main, chardev.Hooks{})
	defer s.host.chars.Close()
	option := func(pairs ...string) config.Options {
		var o config.Options
		for i := 0; i < len(pairs); i += 2 {
			o.Pairs = append(o.Pairs, config.Pair{Key: pairs[i], Value: pairs[i+1]})
		}
		return o
	}
	require.NoError(t, s.host.objects.create([]config.Options{option("qom-type", "rng-random", "id", "r"), option("qom-type", "rng-builtin", "id", "b")}))
	defer s.host.objects.close()
	for _, c := range []string{"null,id=n", "ringbuf,id=m,mux=on"} {
		spec, err := chardev.Parse(c)
		require.NoError(t, err)
		_, err = s.host.chars.Open(spec)
		require.NoError(t, err)
	}
	s.plantBackends()
	for path, typ := range map[string]string{"/objects/r": "rng-random", "/objects/b": "rng-builtin", "/chardevs/n": "chardev-null",
		"/chardevs/m": "chardev-mux", "/chardevs/m-base": "chardev-ringbuf"} {
		n, err := s.machine.Tree.QOM.Resolve(path)
		require.NoError(t, err)
		require.Equal(t, typ, n.Type(), path)
	}
	n, err := s.machine.Tree.QOM.Resolve("/objects/r")
	require.NoError(t, err)
	v, err := n.Get("filename")
	require.NoError(t, err)
	require.Equal(t, "/dev/urandom", v)
}
