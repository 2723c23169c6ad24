package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// monitorWorks are commands that are asked for again and again, each after the reply to the one before.
var monitorWorks = []struct {
	name, command string
	times         int
}{
	{"qmp-status", `{"execute": "query-status"}`, 5000},
	{"qmp-commands", `{"execute": "query-commands"}`, 500},
	{"qmp-error", `{"execute": "chardev-remove", "arguments": {"id": "nosuch"}}`, 5000},
}

// monitors measures round trips of QMP over a unix socket.
func monitors(o options, dir string) (rows []row, err error) {
	for _, w := range monitorWorks {
		if !o.selected(w.name, "qmp") {
			continue
		}
		r := row{Name: w.name, Group: "qmp"}
		for _, e := range []struct {
			command string
			into    *float64
		}{{o.qemu, &r.QEMU}, {o.goemu, &r.Goemu}} {
			if *e.into, err = monitorTime(strings.Fields(e.command), dir, w.command, w.times, o.runs); err != nil {
				return nil, err
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// monitorTime is the best time of one emulator for all round trips.
func monitorTime(program []string, dir, command string, times, runs int) (best float64, err error) {
	socket := filepath.Join(dir, "qmp.sock")
	cmd := exec.Command(program[0], append(program[1:], "-M", "none", "-nodefaults", "-display", "none", "-qmp", "unix:"+socket+",server=on,wait=off")...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		os.Remove(socket)
	}()
	var c net.Conn
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err = net.Dial("unix", socket); err == nil {
			break
		}
		if time.Now().After(end) {
			return 0, err
		}
	}
	defer c.Close()
	in := bufio.NewReaderSize(c, 1<<16)
	ask := func(text string) error {
		if _, err := c.Write([]byte(text)); err != nil {
			return err
		}
		_, err := in.ReadSlice('\n')
		return err
	}
	if _, err := in.ReadSlice('\n'); err != nil {
		return 0, err
	}
	if err := ask(`{"execute": "qmp_capabilities"}`); err != nil {
		return 0, err
	}
	for range max(runs, 1) {
		start := time.Now()
		for range times {
			if err := ask(command); err != nil {
				return 0, fmt.Errorf("%s: %w", program[0], err)
			}
		}
		if d := float64(time.Since(start)); best == 0 || d < best {
			best = d
		}
	}
	return best, nil
}
