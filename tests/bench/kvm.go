package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// kvmGroup is the works under -accel kvm, which need the host's KVM.
const kvmGroup = "kvm"

var kvmWorks = []string{"kvm-start", "kvm-port", "kvm-mmio", "kvm-sync"}

// Numbers of accesses that leave the guest, and of megabytes of the machine that is migrated.
const (
	kvmExits = 50_000
	kvmRAM   = "4G"
)

// kvmFirmware is a firmware image whose code makes n accesses, each of which the emulator answers, and ends the emulator with status 1.
// access is the code of one.
func kvmFirmware(n uint32, access []byte) []byte {
	const size, resetVector = 64 << 10, 64<<10 - 16
	code := []byte{0xfa, 0xb8, 0x00, 0xa0, 0x8e, 0xd8, 0x66, 0xb9} // cli; mov ax, 0xa000; mov ds, ax; mov ecx, n
	code = binary.LittleEndian.AppendUint32(code, n)
	if n > 0 {
		code = append(code, access...)
		code = append(code, 0x66, 0x49, 0x75, byte(-4-len(access))) // dec ecx; jnz back
	}
	code = append(code, 0xb0, 0, 0xe6, 0xf4, 0xf4) // mov al, 0; out 0xf4, al; hlt
	b := make([]byte, size)
	copy(b, code)
	copy(b[resetVector:], []byte{0xea, 0, 0, 0, 0xf0}) // jmp 0xf000:0
	return b
}

// kvmSpin is firmware that never ends.
var kvmSpin = kvmFirmware(1, []byte{0xeb, 0xfe})

// kvm measures what KVM leaves to the emulator: the start, accesses to ports and memory, the dirty log.
func kvm(o options, s *setup, pair [2]*emulator) ([]row, error) {
	if f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err != nil {
		fmt.Fprintln(os.Stderr, "bench: no KVM, its works are left out:", err)
		return nil, nil
	} else {
		f.Close()
	}
	access := map[string][]byte{"kvm-port": {0xe4, 0x80}, "kvm-mmio": {0xa0, 0, 0}} // in al, 0x80; mov al, [0]
	return alternate(o.runs, pair, func(e *emulator) (list []result, err error) {
		e = e.without("-accel")
		base, err := e.kvmRun(s.dir, kvmFirmware(0, nil))
		if err != nil {
			return nil, err
		}
		for _, name := range kvmWorks {
			if !o.selected(name, kvmGroup) {
				continue
			}
			ns := base
			switch name {
			case "kvm-port", "kvm-mmio":
				if ns, err = e.kvmRun(s.dir, kvmFirmware(kvmExits, access[name])); err == nil {
					ns -= base
				}
			case "kvm-sync":
				ns, err = e.kvmMigrate(s.dir)
			}
			if err != nil {
				return nil, err
			}
			list = append(list, one(name, kvmGroup, ns)...)
		}
		return list, nil
	})
}

// kvmArgs are the options of a machine with a firmware image.
func kvmArgs(dir string, image []byte) ([]string, error) {
	file := filepath.Join(dir, "kvm.rom")
	return []string{"-M", "pc,accel=kvm", "-cpu", "qemu64,-pni", "-bios", file, "-vga", "none", "-net", "none"}, os.WriteFile(file, image, 0o600)
}

// without is the emulator without an option and its value.
func (e *emulator) without(option string) *emulator {
	argv := slices.Clone(e.argv)
	if i := slices.Index(argv, option); i > 0 && i+1 < len(argv) {
		argv = slices.Delete(argv, i, i+2)
	}
	return &emulator{name: e.name, argv: argv}
}

// kvmRun is how long an emulator takes to run firmware to its end.
func (e *emulator) kvmRun(dir string, image []byte) (float64, error) {
	args, err := kvmArgs(dir, image)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	args = append(append(append([]string{}, e.argv[1:]...), "-m", "16", "-display", "none", "-device", "isa-debug-exit,iobase=0xf4"), args...)
	start := time.Now()
	out, err := exec.CommandContext(ctx, e.argv[0], args...).CombinedOutput()
	d := time.Since(start)
	if x, ok := err.(*exec.ExitError); !ok || x.ExitCode() != 1 {
		return 0, fmt.Errorf("%s: %w\n%s", e.name, err, tail(out))
	}
	return float64(d), nil
}

// kvmMigrate is how long an emulator takes to send away a large machine that runs and has hardly used its memory: nearly all of it is the
// dirty log.
func (e *emulator) kvmMigrate(dir string) (float64, error) {
	args, err := kvmArgs(dir, kvmSpin)
	if err != nil {
		return 0, err
	}
	m, err := launch(e, dir, "kvm", append(args, "-m", kvmRAM)...)
	if err != nil {
		return 0, err
	}
	defer m.close()
	start := time.Now()
	if _, err := m.ask(`{"execute": "migrate", "arguments": {"uri": "exec:cat >/dev/null"}}`); err != nil {
		return 0, err
	}
	for {
		answer, err := m.ask(`{"execute": "query-migrate"}`)
		if err != nil {
			return 0, err
		}
		var info struct{ Status string }
		if err := json.Unmarshal(answer, &info); err != nil || info.Status == "failed" {
			return 0, fmt.Errorf("%s: the migration fails: %s", e.name, answer)
		}
		if info.Status == "completed" {
			return float64(time.Since(start)), nil
		}
		time.Sleep(time.Millisecond)
	}
}
