package main

import (
	"context"
	_ "embed" // the guest program
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// kvmGroup is the works under -accel kvm, which need the host's KVM.
const kvmGroup = "kvm"

var kvmWorks = []string{"kvm-start", "kvm-port", "kvm-mmio", "kvm-blk", "kvm-sync"}

// Numbers of accesses that leave the guest, and of megabytes of the machine that is migrated.
const (
	kvmExits = 150_000
	kvmReads = 20_000
	kvmRAM   = "4G"
)

//go:embed blk.asm
var blkSource []byte

// kvmDisk is firmware that reads blocks of a virtio disk, and the disk's options.
func kvmDisk(dir string) (image []byte, args []string, err error) {
	source, out, disk := filepath.Join(dir, "blk.asm"), filepath.Join(dir, "blk.bin"), filepath.Join(dir, "blk.raw")
	const diskSize = 64 << 20
	content := make([]byte, diskSize)
	for i := range content {
		content[i] = byte(i >> 9)
	}
	if err := errors.Join(os.WriteFile(source, blkSource, 0o600), os.WriteFile(disk, content, 0o600)); err != nil {
		return nil, nil, err
	}
	if msg, err := exec.Command("nasm", "-f", "bin", fmt.Sprintf("-DN=%d", kvmReads), "-o", out, source).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("nasm: %w\n%s", err, msg)
	}
	code, err := os.ReadFile(out)
	return wrapFirmware(code), []string{"-drive", "if=none,id=d,format=raw,file=" + disk, "-device", "virtio-blk-pci,drive=d,addr=4"}, err
}

// kvmFirmware is a firmware image whose code makes n accesses, each of which the emulator answers, and ends the emulator with status 1.
// access is the code of one.
func kvmFirmware(n uint32, access []byte) []byte {
	code := []byte{0xfa, 0xb8, 0x00, 0xa0, 0x8e, 0xd8, 0x66, 0xb9} // cli; mov ax, 0xa000; mov ds, ax; mov ecx, n
	code = binary.LittleEndian.AppendUint32(code, n)
	if n > 0 {
		code = append(code, access...)
		code = append(code, 0x66, 0x49, 0x75, byte(-4-len(access))) // dec ecx; jnz back
	}
	code = append(code, 0xb0, 0, 0xe6, 0xf4, 0xf4) // mov al, 0; out 0xf4, al; hlt
	return wrapFirmware(code)
}

// wrapFirmware makes an image of code that begins at 0xf000:0.
func wrapFirmware(code []byte) []byte {
	const size, resetVector = 64 << 10, 64<<10 - 16
	b := make([]byte, size)
	copy(b, code)
	copy(b[resetVector:], []byte{0xea, 0, 0, 0, 0xf0}) // jmp 0xf000:0
	return b
}

// kvmSpin is firmware that never ends.
var kvmSpin = kvmFirmware(1, []byte{0xeb, 0xfe})

// kvm measures what KVM leaves to the emulator: the start, accesses to ports and memory, blocks read from a virtio disk, the dirty log.
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
			case "kvm-port":
				if ns, err = e.kvmRun(s.dir, kvmFirmware(kvmExits, access[name])); err == nil {
					ns -= base
				}
			case "kvm-mmio": // in the window of a VGA, which is memory without one
				var start float64
				if start, err = e.kvmRun(s.dir, kvmFirmware(0, nil), "-vga", "std"); err == nil {
					ns, err = e.kvmRun(s.dir, kvmFirmware(kvmExits, access[name]), "-vga", "std")
					ns -= start
				}
			case "kvm-blk":
				var image []byte
				var disk []string
				if image, disk, err = kvmDisk(s.dir); err == nil {
					ns, err = e.kvmRun(s.dir, image, disk...)
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
func (e *emulator) kvmRun(dir string, image []byte, more ...string) (float64, error) {
	args, err := kvmArgs(dir, image)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	args = slices.Concat(e.argv[1:], []string{"-m", "16", "-display", "none", "-device", "isa-debug-exit,iobase=0xf4"}, args, more)
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
