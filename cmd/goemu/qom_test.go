package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/hw/pc"
	"goemu/hw/qdev"
	"goemu/internal/chardev"
	"goemu/internal/config"
	"goemu/internal/mainloop"
	"goemu/qapi"
)

// TestBackendsInTree: objects and character devices are where management tools look for them.
func TestBackendsInTree(t *testing.T) {
	s := &session{vm: new(config.VM), machine: &pc.Machine{Tree: qdev.NewTree(qdev.NewRegistry())}}
	s.host.chars = chardev.NewSet(mainloop.Main, chardev.Hooks{})
	defer s.host.chars.Close()
	s.host.objects = s.newObjects()
	defer s.host.objects.Close()
	for _, o := range []*qapi.Object{qapi.NewObject("qom-type", "rng-random", "id", "r"), qapi.NewObject("qom-type", "rng-builtin", "id", "b")} {
		require.NoError(t, s.host.objects.Add(o))
	}
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
