package kvm

import (
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestVMPort: calls of VMware's hypervisor have QEMU's results in all registers, whoever executes the guest and whatever the machine's version.
func TestVMPort(t *testing.T) {
	if testing.Short() {
		t.Skip("whole machines take seconds each")
	}
	qemu := testprog.QEMU(t)
	image := firmware(t, "vmport.asm", "-DHZ")
	for _, typ := range []string{"pc", "pc-q35-5.0", "q35,vmport=off"} {
		args := []string{"-accel", "tcg", "-M", typ, "-uuid", "00112233-4455-6677-8899-aabbccddeeff"}
		require.Equal(t, program(t, qemu, image, args...), program(t, testprog.Goemu(t), image, args...), typ)
	}
	needKVM(t)
	image = firmware(t, "vmport.asm") // the rates are the host's
	args := []string{"-M", "q35", "-cpu", "qemu64,+x2apic"}
	want := program(t, testprog.Goemu(t), image, append(args, "-accel", "tcg")...)
	require.Equal(t, want, program(t, testprog.Goemu(t), image, append(args, "-accel", "kvm")...))
}
