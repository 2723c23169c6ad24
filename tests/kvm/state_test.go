package kvm

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// TestStateMoves saves a machine under one accelerator and goes on under another: its registers of every kind and its timers survive.
func TestStateMoves(t *testing.T) {
	needKVM(t)
	image := firmware(t, "ticks.asm")
	for _, way := range [][2]string{{"kvm", "kvm"}, {"kvm", "tcg"}, {"tcg", "kvm"}, {"kvm,kernel-irqchip=off", "kvm"}, {"kvm", "kvm,kernel-irqchip=off"},
		{"kvm,kernel-irqchip=split", "kvm"}, {"tcg", "kvm,kernel-irqchip=split"}} {
		t.Run(way[0]+"-"+way[1], func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "state")
			m := launch(t, image, "-accel", way[0])
			m.ticks(10)
			m.save(file)
			m = launch(t, image, "-accel", way[1], "-incoming", "exec:cat "+file)
			m.ticks(10)
		})
	}
}

// TestStopAndReset stops, continues and resets a machine, and looks at its registers.
func TestStopAndReset(t *testing.T) {
	needKVM(t)
	image := firmware(t, "ticks.asm")
	for _, acc := range []string{"kvm", "kvm,kernel-irqchip=split", "kvm,kernel-irqchip=off"} {
		t.Run(acc, func(t *testing.T) {
			m := launch(t, image, "-accel", acc)
			var kvm struct{ Enabled, Present bool }
			require.NoError(t, json.Unmarshal(m.do("query-kvm", ""), &kvm))
			require.True(t, kvm.Enabled && kvm.Present)
			require.Equal(t, "kvm support: enabled\r\n", m.hmp("info kvm"))
			for range 10 {
				m.ticks(2)
				m.do("stop", "")
				require.Contains(t, m.hmp("info registers"), "R12=1234567890abcdef R13=fedcba0987654321")
				m.do("cont", "")
			}
			m.do("stop", "")
			m.do("system_reset", "")
			time.Sleep(100 * time.Millisecond) // the reset is served in between
			require.Contains(t, m.hmp("info registers"), "EIP=0000fff0")
			m.do("cont", "")
			m.ticks(5)
			m.do("system_reset", "")
			m.ticks(5)
		})
	}
}

// TestLiveMigration moves a machine that writes to its memory all the while to another emulator, under each accelerator.
func TestLiveMigration(t *testing.T) {
	needKVM(t)
	image := firmware(t, "ticks.asm")
	for _, to := range []string{"kvm", "tcg"} {
		t.Run(to, func(t *testing.T) {
			sock := filepath.Join(t.TempDir(), "migration")
			dst := launch(t, image, "-accel", to, "-incoming", "unix:"+sock)
			src := launch(t, image, "-accel", "kvm")
			src.ticks(5)
			src.do("migrate", `{"uri":"unix:`+sock+`"}`)
			src.migrated()
			dst.ticks(10)
		})
	}
}

// TestSnapshot saves and loads snapshots in a disk while the machine runs.
func TestSnapshot(t *testing.T) {
	needKVM(t)
	file := filepath.Join(t.TempDir(), "disk.qcow2")
	out, err := exec.Command(testprog.Goemu(t), "img", "create", "-f", "qcow2", file, "16M").CombinedOutput()
	require.NoError(t, err, string(out))
	m := launch(t, firmware(t, "ticks.asm"), "-accel", "kvm", "-drive", "if=none,id=d,file="+file+",format=qcow2")
	m.ticks(3)
	require.Empty(t, m.hmp("savevm one"))
	m.ticks(3)
	require.Empty(t, m.hmp("loadvm one"))
	m.ticks(3)
}

// TestQEMU moves a machine from QEMU under KVM to each accelerator, and from KVM here to QEMU.
func TestQEMU(t *testing.T) {
	needKVM(t)
	qemu := testprog.QEMU(t)
	image := firmware(t, "ticks.asm")
	for name, way := range map[string][4]string{"to kvm": {qemu, "kvm", testprog.Goemu(t), "kvm"}, "to tcg": {qemu, "kvm", testprog.Goemu(t), "tcg"}, "from kvm": {testprog.Goemu(t), "kvm", qemu, "kvm"}} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "state")
			m := launchOf(t, way[0], image, "-machine", "pc-i440fx-7.2,accel="+way[1])
			m.ticks(5)
			m.save(file)
			m = launchOf(t, way[2], image, "-machine", "pc-i440fx-7.2,accel="+way[3], "-incoming", "exec:cat "+file)
			m.ticks(10)
		})
	}
}
