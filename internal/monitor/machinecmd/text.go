package machinecmd

import (
	"context"
	"fmt"
	"io"
	"strings"

	"goemu/internal/mainloop"
	"goemu/internal/monitor/hmp"
	"goemu/qapi"
)

// report shows something of the machine, for people. It is called under the machine lock.
type report func(t *Target, w io.Writer) error

// text is a report as the commands x-query-… give it.
func (s *Service) text(r report) (*qapi.HumanReadableText, error) {
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	var b strings.Builder
	if err := r(s.Machine(), &b); err != nil {
		return nil, err
	}
	return &qapi.HumanReadableText{HumanReadableText: b.String()}, nil
}

// show is a report as info gives it.
func (s *Service) show(r report) func(*hmp.Monitor, *hmp.Args) error {
	return func(m *hmp.Monitor, _ *hmp.Args) error {
		t, err := s.text(r)
		if err != nil {
			return err
		}
		m.Printf("%s", t.HumanReadableText)
		return nil
	}
}

// XQueryIrq implements qapi.MachineCommands.
func (s *Service) XQueryIrq(context.Context) (*qapi.HumanReadableText, error) {
	return s.text((*Target).interruptCounts)
}

// XQueryJit implements qapi.MachineCommands.
func (s *Service) XQueryJit(context.Context) (*qapi.HumanReadableText, error) {
	return s.text((*Target).translator)
}

// XQueryNuma implements qapi.MachineCommands.
func (s *Service) XQueryNuma(context.Context) (*qapi.HumanReadableText, error) {
	return s.text((*Target).nodes)
}

// XQueryRamblock implements qapi.MachineCommands.
func (s *Service) XQueryRamblock(context.Context) (*qapi.HumanReadableText, error) {
	return s.text((*Target).blocks)
}

// XQueryRoms implements qapi.MachineCommands.
func (s *Service) XQueryRoms(context.Context) (*qapi.HumanReadableText, error) {
	return s.text((*Target).roms)
}

// XQueryUsb implements qapi.MachineCommands.
func (s *Service) XQueryUsb(context.Context) (*qapi.HumanReadableText, error) {
	return s.text((*Target).usb)
}

func (t *Target) interruptCounts(w io.Writer) error {
	t.InterruptCounts(w)
	return nil
}

func (t *Target) translator(w io.Writer) error {
	if t.Translator == nil {
		return qapi.Errorf("JIT information is only available with accel=tcg")
	}
	t.Translator(w)
	return nil
}

func (t *Target) blocks(w io.Writer) error {
	t.Blocks(w)
	return nil
}

func (t *Target) roms(w io.Writer) error {
	t.ROMs(w)
	return nil
}

func (t *Target) usb(w io.Writer) error {
	text, ok := t.USB()
	if !ok {
		return qapi.Errorf("USB support not enabled")
	}
	_, err := io.WriteString(w, text)
	return err
}

// nodes shows the NUMA nodes with their CPUs and memory.
func (t *Target) nodes(w io.Writer) error {
	fmt.Fprintf(w, "%d nodes\n", len(t.NodeMemory))
	for n, size := range t.NodeMemory {
		plugged := t.plugged(n) >> 20
		fmt.Fprintf(w, "node %d cpus:", n)
		for _, c := range t.CPUs {
			if node, ok := t.Nodes(c.Index()); ok && node == n {
				fmt.Fprintf(w, " %d", c.Index())
			}
		}
		fmt.Fprintf(w, "\nnode %d size: %d MB\nnode %d plugged: %d MB\n", n, size>>20+plugged, n, plugged)
	}
	return nil
}
