package main

import (
	"fmt"
	"io"
	"os"

	"goemu/accel"
	"goemu/accel/qtest"
	"goemu/block"
	"goemu/hw/pc"
	"goemu/internal/chardev"
	"goemu/internal/clock"
	"goemu/internal/config"
	"goemu/internal/memory"
	"goemu/internal/netdev"
	"goemu/target/x86"
)

// qtestAccel makes CPUs that do not execute.
type qtestAccel struct {
	qtest.Accel
	cfg *x86.Config
}

// NewCPU implements pc.Accelerator.
func (a qtestAccel) NewCPU(index int, apicID uint32) (pc.CPU, error) {
	return qtest.NewCPU(index, apicID, a.cfg), nil
}

// Remove implements pc.Accelerator: there is nothing to end.
func (qtestAccel) Remove(pc.CPU) {}

// chooseQTest is -accel qtest: the virtual clock stands still but for the protocol's commands.
func (s *session) chooseQTest(o config.Options, c *pc.Config) (err error) {
	for _, p := range o.Without("accel").Pairs {
		return optionError{at(o.Origin, fmt.Errorf("Property 'qtest-accel.%s' not found", p.Key))}
	}
	if c.CPU, err = s.cpuConfig(c, nil); err != nil {
		return optionError{err}
	}
	clock.Virtual.SetFake(0)
	c.NewAccel = func(_, _ *memory.AddressSpace, _ accel.Machine) (pc.Accelerator, error) {
		return qtestAccel{cfg: c.CPU}, nil
	}
	return nil
}

// openQTest is -qtest and -qtest-log: clients can connect. Preconditions: the machine lock is held.
func (s *session) openQTest() error {
	if s.vm.QTest.Value == "" {
		return nil
	}
	b, err := s.host.qtestChardev(s.vm.QTest)
	if err != nil {
		return err
	}
	var log io.Writer = os.Stderr
	switch name := s.vm.QTestLog; name {
	case "":
	case "none":
		log = nil
	default:
		if s.log, err = os.Create(name); err != nil {
			return fmt.Errorf("Error opening logfile %s: %s", name, reason(err))
		}
		log = s.log
	}
	s.qtest, err = qtest.Open(b, log)
	return err
}

// serveQTest lets the machine be tested.
func (s *session) serveQTest() {
	if m := s.machine; s.qtest != nil {
		s.qtest.Serve(qtest.Target{Memory: m.Memory(), Ports: m.Ports(), Root: m.Tree.QOM, Clock: clock.Virtual.Manual(), Settle: settle})
	}
}

// settle waits until frames have arrived and requests have ended that no time holds back.
func settle() {
	netdev.Main.Settle()
	block.Settle()
}

// qtestChardev opens what -qtest names.
func (h *backends) qtestChardev(src config.Source) (*chardev.Backend, error) {
	b, err := h.chars.OpenLegacy(src.Origin, "qtest", src.Value)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w\n%s: Failed to initialize device for qtest: \"%s\"", src.Origin, err, progName(), src.Value)
	case b == nil:
		return nil, fmt.Errorf("Failed to initialize device for qtest: \"%s\"", src.Value)
	}
	return b, nil
}

// closeQTest ends the conversation. Preconditions: the machine lock is held.
func (s *session) closeQTest() {
	if s.qtest != nil {
		s.qtest.Close()
	}
	if s.log != nil {
		s.log.Close()
	}
}
