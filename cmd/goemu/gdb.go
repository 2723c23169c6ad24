package main

import (
	"fmt"
	"strings"

	"goemu/accel"
	"goemu/hw/pc"
	"goemu/internal/config"
	"goemu/internal/gdbstub"
	"goemu/target/x86"
)

// gdbLabel is the identifier of the character device that gdb talks to.
const gdbLabel = "gdb"

// serveGDB lets gdb connect to what src names; nothing for none. Preconditions: the machine lock is held.
func (s *session) serveGDB(src config.Source) error {
	s.closeGDB()
	if src.Value == "" || src.Value == "none" {
		return nil
	}
	m := s.machine
	if len(m.CPUs()) == 0 {
		return fmt.Errorf("gdbstub: meaningless to attach gdb to a machine without any CPU.")
	}
	name := src.Value
	if strings.HasPrefix(name, "tcp:") {
		name += ",wait=off,nodelay=on,server=on"
	}
	b, err := s.host.chars.OpenLegacy(src.Origin, gdbLabel, name)
	switch {
	case err != nil && src.Origin != "":
		return fmt.Errorf("%s: %w", src.Origin, err)
	case err != nil:
		return err
	}
	t := gdbstub.Target{VM: m.VM, Space: m.Space, TPR: m.TPR, AVX: m.HasFeature(x86.FeatAVX), Continue: func() error { m.VM.Start(); return nil },
		Monitor: func(line string) (out string) {
			s.mon.server.Exclusive(func() { out = s.mon.shell.Execute(s.mon.shell.Context, line, 0) })
			return out
		},
		Kill: func() {
			complain("QEMU: Terminated via GDBstub")
			s.requestExit(0)
		}}
	t.CPUs = gdbCPUs(m)
	t.Debugger, _ = m.Accelerator().(accel.Debugger)
	s.gdb, err = gdbstub.Serve(b, t)
	return err
}

// gdbCPUs are the machine's CPUs as the debugger takes them.
func gdbCPUs(m *pc.Machine) (list []gdbstub.CPU) {
	for _, c := range m.CPUs() {
		list = append(list, c)
	}
	return list
}

// closeGDB ends the conversation. Preconditions: the machine lock is held.
func (s *session) closeGDB() {
	if s.gdb == nil {
		return
	}
	s.gdb.Close()
	s.gdb = nil
	if _, ok := s.host.chars.Find(gdbLabel); ok {
		_ = s.host.chars.Remove(gdbLabel)
	}
}
