package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestDeviceAddress: a number of JSON is slot and function in one, a text is a slot in hexadecimal digits; device_add takes numbers as their text.
func TestDeviceAddress(t *testing.T) {
	goemu, qemu := testprog.Goemu(t), testprog.QEMU(t)
	args := []string{"-accel", "tcg", "-M", "pc", "-nodefaults", "-S", "-display", "none"}
	device := func(addr string) string { return fmt.Sprintf(`{"driver":"virtio-rng-pci","id":"r","addr":%s}`, addr) }
	ask := `{"execute":"qom-get","arguments":{"path":"/machine/peripheral/r","property":"addr"}}`
	for _, addr := range []string{"24", "33", "255", "-1", `"18"`, `"4.1"`} {
		made := append(args[:len(args):len(args)], "-qmp", "stdio", "-device", device(addr))
		require.Equal(t, talkQMP(t, qemu, made, []string{ask}), talkQMP(t, goemu, made, []string{ask}), addr)
	}
	for _, addr := range []string{"256", "-2", "5000000000", "1.5"} {
		refused := append(args[:len(args):len(args)], "-device", device(addr))
		require.Equal(t, said(t, qemu, refused...), said(t, goemu, refused...), addr)
	}
	args = append(args, "-qmp", "stdio")
	for _, addr := range []string{"16", "24"} {
		commands := []string{fmt.Sprintf(`{"execute":"device_add","arguments":%s}`, device(addr)), ask}
		require.Equal(t, talkQMP(t, qemu, args, commands), talkQMP(t, goemu, args, commands), addr)
	}
}
