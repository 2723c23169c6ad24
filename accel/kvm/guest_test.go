package kvm

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"goemu/accel"
	"goemu/accel/acceltest"
	"goemu/target/x86"
)

// hostOrSkip makes a virtual machine of the real kernel.
func hostOrSkip(t testing.TB) *Host {
	t.Helper()
	h, err := Open()
	var why *InitError
	if errors.As(err, &why) {
		t.Skip("no virtual machines on this host: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// testConfig is a CPU that the host can be.
func testConfig(t testing.TB, h *Host, model string) *x86.Config {
	t.Helper()
	cfg, _, err := x86.ParseHostOption(model, &x86.Host{Vendor: h.Vendor(), Features: h.Features(accel.ChipsNone), PhysBits: 40, Level: 0xd, XLevel: 0x80000008})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// newTestMachine loads image and makes CPUs that start there in real mode.
func newTestMachine(t testing.TB, h *Host, model string, image []byte, cpus int) (*acceltest.Machine, *Accel) {
	t.Helper()
	return newTestMachineOf(t, Options{Host: h}, model, image, cpus)
}

// newTestMachineOf is newTestMachine with options.
func newTestMachineOf(t testing.TB, o Options, model string, image []byte, cpus int) (*acceltest.Machine, *Accel) {
	t.Helper()
	m := acceltest.New(t, image)
	o.Config, o.Memory, o.Machine = testConfig(t, o.Host, model), m.AS, m
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range cpus {
		c, err := a.NewCPU(i, uint32(i))
		if err != nil {
			t.Fatal(err)
		}
		env := c.Env()
		env.Seg[x86.CS].Selector, env.Seg[x86.CS].Base, env.PC = 0, 0, acceltest.Entry
		env.UpdateHFlags()
		c.waitSIPI = false
	}
	t.Cleanup(func() { _ = a.Close() })
	return m, a
}

// wait waits for the end of the guest's program.
func wait(t testing.TB, m *acceltest.Machine, a *Accel) int {
	t.Helper()
	select {
	case code := <-m.Exit:
		if code < 0 {
			t.Fatalf("the machine stops with %d: %s\noutput %q", code, m.Why(), m.Output())
		}
		return code
	case <-time.After(60 * time.Second):
		a.Pause()
		t.Fatalf("the guest does not end; output %q\n%s", m.Output(), a.CPUs()[0].Dump())
	}
	return 0
}

// TestGuestModes runs a program in every mode of the processor. tests/kvm compares what it prints with other accelerators.
func TestGuestModes(t *testing.T) {
	h := hostOrSkip(t)
	image := acceltest.Assemble(t, "../../tests/kvm", "modes.asm")
	m, a := newTestMachine(t, h, "qemu64", image, 1)
	a.Start()
	wait(t, m, a)
	want, err := os.ReadFile("../../tests/kvm/modes.want")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.Output(), want) {
		t.Errorf("output:\n%s\nwant:\n%s", m.Output(), want)
	}
}
