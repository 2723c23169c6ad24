package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// firmwareGroup is the works that start with the firmware, as a user's disk does.
const firmwareGroup = "firmware"

var firmwareWorks = []string{"grub-menu", "grub-linux", "debian-login"}

// powerOn is a work that ends when the serial port has shown a text.
type powerOn struct {
	name  string
	until string
	args  []string
}

const grubConfig = `serial --unit=0
terminal_input serial
terminal_output serial
set timeout=%s
menuentry "goemu-menu" {
	linux /vmlinuz console=ttyS0 quiet run=true
	initrd /initrd.gz
}
`

// firmware measures the time from power-on: to GRUB's menu, through GRUB and a kernel to userspace, to Debian's login prompt.
func firmware(o options, s *setup, pair [2]*emulator) ([]row, error) {
	menu, err := grubISO(s.dir, "menu", "60")
	if err != nil {
		return nil, err
	}
	auto, err := grubISO(s.dir, "auto", "0", s.kernel, s.initrd)
	if err != nil {
		return nil, err
	}
	works := []powerOn{
		{firmwareWorks[0], "goemu-menu", []string{"-cdrom", menu}},
		{firmwareWorks[1], "GOEMU-EXIT 0", []string{"-cdrom", auto}},
	}
	if o.debian != "" {
		works = append(works, powerOn{firmwareWorks[2], "login: ", []string{"-drive", "if=virtio,snapshot=on,file=" + o.debian}})
	} else {
		fmt.Fprintln(os.Stderr, "bench: no -debian image: the boot to a login prompt is left out")
	}
	var rows []row
	for _, w := range works {
		if !o.selected(w.name, firmwareGroup) {
			continue
		}
		r, err := alternate(o.runs, pair, func(e *emulator) ([]result, error) {
			ns, err := e.powerOn(&w)
			return one(w.name, firmwareGroup, ns), err
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// grubISO makes a CD image whose GRUB has one entry, for the kernel and the initramfs in files.
func grubISO(dir, name, timeout string, files ...string) (string, error) {
	tree, iso := filepath.Join(dir, name), filepath.Join(dir, name+".iso")
	if err := os.MkdirAll(filepath.Join(tree, "boot/grub"), 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(tree, "boot/grub/grub.cfg"), fmt.Appendf(nil, grubConfig, timeout), 0o644); err != nil {
		return "", err
	}
	for i, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(tree, []string{"vmlinuz", "initrd.gz"}[i]), b, 0o644); err != nil {
			return "", err
		}
	}
	return iso, command("grub-mkrescue", "-o", iso, tree)
}

// powerOn starts a machine and returns how long its serial port took to show the text.
func (e *emulator) powerOn(w *powerOn) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), bootLimit)
	defer cancel()
	args := append(append([]string{}, e.argv[1:]...), "-M", "pc", "-cpu", "max", "-m", "1G", "-nographic", "-no-reboot", "-net", "none")
	cmd := exec.CommandContext(ctx, e.argv[0], append(args, w.args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	t := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var seen []byte
	buf := make([]byte, 4096)
	for {
		n, err := out.Read(buf)
		seen = append(seen, buf[:n]...)
		if bytes.Contains(seen, []byte(w.until)) {
			return float64(time.Since(t)), nil
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %s: the serial port did not show %q; it ends with:\n%s", w.name, e.name, w.until, tail(seen))
		}
	}
}
