// Package migration compares what QEMU puts into a migration stream with what our machines would.
package migration

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/accel"
	"goemu/accel/tcg"
	"goemu/hw/char"
	"goemu/hw/firmware/loader"
	"goemu/hw/misc"
	"goemu/hw/pc"
	"goemu/hw/qdev"
	"goemu/hw/virtio/rng"
	"goemu/hw/virtio/serial"
	"goemu/internal/chardev"
	"goemu/internal/clock"
	"goemu/internal/mainloop"
	"goemu/internal/memory"
	"goemu/internal/testprog"
	"goemu/migration/vmstate/vmstatetest"
	"goemu/target/x86"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/interp"
)

// tcgAccel gives the accelerator's CPUs the type that the machine knows.
type tcgAccel struct{ *tcg.Accel }

func (a tcgAccel) NewCPU(index int, apicID uint32) (pc.CPU, error) {
	return a.Accel.NewCPU(index, apicID, nil)
}

func (a tcgAccel) Remove(c pc.CPU) { a.Accel.Remove(c.(*tcg.CPU)) }

const ram = 16 << 20

// newMachine makes a machine that boots a multiboot kernel on the interpreter.
func newMachine(t *testing.T, typ, kernel string, cpus int, devices ...string) *pc.Machine {
	t.Helper()
	cpu, _, err := x86.ParseOption("max", &x86.TCGFeatures, "TCG")
	require.NoError(t, err)
	cpu.Topology = x86.Topology{Sockets: cpus, Dies: 1, Cores: 1, Threads: 1}
	chars := chardev.NewSet(mainloop.Main, chardev.Hooks{})
	port, err := chars.OpenLegacy("", "serial0", "null")
	require.NoError(t, err)
	cfg := pc.Config{Type: pc.Find(typ), RAM: ram, CPUs: cpus, CPU: cpu, Boot: loader.Config{Kernel: kernel}, Serials: []*chardev.Backend{port},
		RTC: pc.RTC{Start: time.Now().UTC(), Clock: clock.Virtual}, Registry: qdev.NewRegistry(char.Classes, misc.Classes(&misc.Hooks{}), rng.Classes(), serial.Classes()),
		Links: func(l *qdev.Links) {
			qdev.Link(l, func(id string) (*chardev.Backend, bool) { return port, id == port.ID })
		}}
	cfg.Props = cfg.Type.DefaultProps()
	cfg.NewAccel = func(mem, smm *memory.AddressSpace, m accel.Machine) (pc.Accelerator, error) {
		a, err := tcg.New(tcg.Options{Engine: interp.New(front.Globals), Config: cpu, Memory: mem, SMM: smm, Machine: m, Single: cpus == 1})
		return tcgAccel{a}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	loop := make(chan error, 1)
	go func() { loop <- mainloop.Main.Run(ctx) }()
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	m, err := pc.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		mainloop.Lock.Lock()
		require.NoError(t, m.Close())
		chars.Close()
		mainloop.Lock.Unlock()
		cancel()
		<-loop
	})
	for _, d := range devices {
		list := []qdev.Setting{{Name: "driver"}}
		for i, o := range strings.Split(d, ",") {
			if i == 0 {
				list[0].Value = o
				continue
			}
			name, value, _ := strings.Cut(o, "=")
			list = append(list, qdev.Setting{Name: name, Value: value})
		}
		_, err := m.AddDevice(list)
		require.NoError(t, err)
	}
	require.NoError(t, m.Ready(ctx))
	return m
}

// execute lets a machine run for a while and stops it.
func execute(t *testing.T, m *pc.Machine) {
	t.Helper()
	begin := clock.Virtual.Now()
	m.Start()
	mainloop.Lock.Lock()
	m.VM.Start()
	mainloop.Lock.Unlock()
	halted := func() bool {
		return m.CPUs()[0].Halted() && clock.Virtual.Now()-begin > vmstatetest.Settle.Nanoseconds()
	}
	require.Eventually(t, halted, time.Minute, 10*time.Millisecond, "the program does not end")
	mainloop.Lock.Lock()
	m.VM.Stop(mainloop.StatePaused)
	mainloop.Lock.Unlock()
}

// assemble makes a multiboot kernel of 32-bit code.
func assemble(t *testing.T, code string) string {
	t.Helper()
	nasm := testprog.Need(t, "nasm")
	dir := t.TempDir()
	src, bin := filepath.Join(dir, "k.asm"), filepath.Join(dir, "k")
	head := "bits 32\norg 0x100000\ndd 0x1badb002, 0x10000, -(0x1badb002 + 0x10000), 0x100000, 0x100000, 0, 0, start\nstart:\n"
	require.NoError(t, os.WriteFile(src, []byte(head+code), 0o644))
	out, err := exec.Command(nasm, "-f", "bin", "-o", bin, src).CombinedOutput()
	require.NoError(t, err, string(out))
	return bin
}
