package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"goemu/tests/guest"
)

// result is one work's time and checksum.
type result struct {
	name, group string
	ns          float64
	sum         string
}

// parse picks the BENCH lines out of a program's or a console's output.
func parse(out []byte) (rs []result) {
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		_, line, ok := strings.Cut(sc.Text(), "BENCH ")
		f := strings.Fields(line)
		if !ok || len(f) != 4 {
			continue
		}
		ns, err := strconv.ParseFloat(f[2], 64)
		if err == nil {
			rs = append(rs, result{f[0], f[1], ns, f[3]})
		}
	}
	return rs
}

// setup is what the benchmark boots.
type setup struct {
	dir                  string // for files
	kernel, initrd, disk string
	programs             []string // host paths, run natively too
}

// prepare builds the guest's programs and its initramfs.
func (s *setup) prepare() error {
	s.initrd, s.disk = filepath.Join(s.dir, "initrd.gz"), filepath.Join(s.dir, "disk.img")
	files := map[string]string{}
	if cc, err := exec.LookPath("gcc"); err == nil {
		src, err := filepath.Glob("tests/bench/guestc/*.c")
		if err != nil {
			return err
		}
		bin := filepath.Join(s.dir, "bench")
		if err := command(cc, append([]string{"-O2", "-static", "-o", bin}, src...)...); err != nil {
			return err
		}
		files["bin/bench"] = bin
		s.programs = append(s.programs, bin)
	} else {
		fmt.Fprintln(os.Stderr, "bench: no gcc: the C works are left out")
	}
	bin := filepath.Join(s.dir, "gobench")
	if err := command("env", "CGO_ENABLED=0", "go", "build", "-o", bin, "./tests/bench/guestgo"); err != nil {
		return err
	}
	files["bin/gobench"] = bin
	s.programs = append(s.programs, bin)
	k, err := guest.GetKernel("cloud-amd64")
	if err != nil {
		return err
	}
	bb, err := guest.GetBusybox()
	if err != nil {
		return err
	}
	s.kernel = k.Image
	if err := os.WriteFile(s.disk, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(s.disk, 64<<20); err != nil {
		return err
	}
	return guest.WriteInitramfs(s.initrd, guest.Spec{Busybox: bb, Kernel: k, Modules: guest.DefaultModules, Files: files})
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// emulator is one of the two that are compared.
type emulator struct {
	name string
	argv []string // program and the options that only it takes
}

// start makes the command that boots the setup with a program to run.
func (e *emulator) start(ctx context.Context, s *setup, run string, extra ...string) *exec.Cmd {
	args := append([]string{}, e.argv[1:]...)
	args = append(args, "-M", "pc", "-drive", "file="+s.disk+",if=virtio,format=raw,cache=none", "-cpu", "max", "-m", "1G", "-nographic", "-no-reboot", "-kernel", s.kernel, "-initrd", s.initrd,
		"-append", "console=ttyS0 quiet run="+strings.ReplaceAll(run, " ", ","))
	return exec.CommandContext(ctx, e.argv[0], append(args, extra...)...)
}

// boot boots, runs a program in the guest and waits for the end. It returns what the console showed and the wall time.
func (e *emulator) boot(s *setup, run string, limit time.Duration, extra ...string) ([]byte, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := e.start(ctx, s, run, extra...)
	t := time.Now()
	out, err := cmd.CombinedOutput()
	d := time.Since(t)
	switch {
	case ctx.Err() != nil:
		return out, d, fmt.Errorf("%s: not finished after %v; the console ends with:\n%s", e.name, limit, tail(out))
	case err != nil:
		return out, d, fmt.Errorf("%s: %w; the console ends with:\n%s", e.name, err, tail(out))
	case !bytes.Contains(out, []byte("GOEMU-EXIT 0")):
		return out, d, fmt.Errorf("%s: the guest's program failed; the console ends with:\n%s", e.name, tail(out))
	}
	return out, d, nil
}

func tail(b []byte) []byte { return b[max(0, len(b)-2000):] }

// native runs the programs on this machine, the disk's works left out.
func native(s *setup) (rs []result, err error) {
	for _, p := range s.programs {
		out, e := exec.Command(p).Output()
		err = errors.Join(err, e)
		rs = append(rs, parse(out)...)
	}
	return rs, err
}
