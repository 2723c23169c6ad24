package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// screenGroup is the works of a VNC client.
const screenGroup = "screen"

// watchTime is how long a client counts pictures.
const watchTime = 5 * time.Second

// screenWorks are the encodings that are measured: the time between two pictures, and their bytes.
var screenWorks = []struct {
	name     string
	encoding int32
}{{"tight", rfbTight}, {"zrle", rfbZRLE}}

// screenNames are the rows.
func screenNames() (names []string) {
	for _, w := range screenWorks {
		names = append(names, "vnc-"+w.name, "vnc-"+w.name+"-size")
	}
	return names
}

const scrolling = "GOEMU-SCROLLS"

// screens measures what a VNC client gets while the guest scrolls the kernel's messages over its text screen as fast as it can.
func screens(o options, s *setup, pair [2]*emulator) (rows []row, err error) {
	for _, w := range screenWorks {
		name, size := "vnc-"+w.name, "vnc-"+w.name+"-size"
		if !o.selected(name, screenGroup) && !o.selected(size, screenGroup) {
			continue
		}
		r, err := alternate(o.runs, pair, func(e *emulator) (list []result, err error) {
			err = e.shown(s, "echo "+scrolling+"; while :; do dmesg; done > /dev/tty0", scrolling, func(_ int, socket string) error {
				v, err := view(socket, w.encoding)
				if err != nil {
					return err
				}
				defer v.c.Close()
				frames, bytes, err := v.watch(watchTime)
				if err != nil {
					return err
				}
				list = append(one(name, screenGroup, float64(watchTime)/float64(frames)), one(size, screenGroup, float64(bytes)/float64(frames))...)
				return nil
			})
			return list, err
		})
		if err != nil {
			return nil, err
		}
		for i := range r {
			if r[i].Name == size {
				r[i].Unit = "B"
			}
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

// shown boots a guest with a screen for VNC clients, waits until its program has printed a text and calls f with the process and the server's socket.
func (e *emulator) shown(s *setup, run, until string, f func(pid int, socket string) error) error {
	socket := filepath.Join(s.dir, "vnc.sock")
	_ = os.Remove(socket)
	ctx, cancel := context.WithTimeout(context.Background(), bootLimit)
	defer cancel()
	cmd := e.start(ctx, s, run, "-vga", "std", "-vnc", "unix:"+socket)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var seen []byte
	for b := make([]byte, 4096); !bytes.Contains(seen, []byte("\n"+until)); {
		n, err := out.Read(b)
		if seen = append(seen, b[:n]...); err != nil {
			return errors.Join(fmt.Errorf("%s: the guest's program does not begin; the console ends with:\n%s", e.name, tail(seen)), err)
		}
	}
	return f(cmd.Process.Pid, socket)
}
