package qtest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"goemu/hw/qdev"
	"goemu/internal/clock"
)

// command is a row of the protocol: how many words it has at least, and its function, which gets the words after the first.
type command struct {
	args int
	run  func(s *Server, name string, w []string) string
}

// commands is the protocol. clock_step and clock_set need an accelerator that leaves the clock alone.
var commands = map[string]command{
	"irq_intercept_in": {1, (*Server).watchInputs}, "irq_intercept_out": {1, (*Server).watchOutputs}, "set_irq_in": {4, (*Server).setInput},
	"inb": {1, (*Server).in1}, "inw": {1, (*Server).in1}, "inl": {1, (*Server).in1},
	"outb": {2, (*Server).out1}, "outw": {2, (*Server).out1}, "outl": {2, (*Server).out1},
	"readb": {1, (*Server).load}, "readw": {1, (*Server).load}, "readl": {1, (*Server).load}, "readq": {1, (*Server).load},
	"writeb": {2, (*Server).store}, "writew": {2, (*Server).store}, "writel": {2, (*Server).store}, "writeq": {2, (*Server).store},
	"read": {2, (*Server).read}, "b64read": {2, (*Server).read}, "write": {3, (*Server).write}, "b64write": {3, (*Server).write},
	"memset": {3, (*Server).memset}, "endianness": {0, func(*Server, string, []string) string { return "OK little" }},
}

// execute runs a command and returns the answer. Preconditions: the machine lock is held.
func (s *Server) execute(w []string) string {
	name, w := w[0], w[1:]
	if s.t.Clock {
		switch name {
		case "clock_step":
			return s.clockStep(w)
		case "clock_set":
			return s.clockSet(w)
		}
	}
	c, ok := commands[name]
	switch {
	case !ok:
		return fmt.Sprintf("FAIL Unknown command '%s'", name)
	case len(w) < c.args:
		return "ERR invalid number of arguments"
	}
	return c.run(s, name, w)
}

const (
	answerOK   = "OK"
	badNumber  = "ERR invalid number"
	badSize    = "ERR invalid argument size"
	noDevice   = "FAIL Unknown device"
	sizeSuffix = "bwlq"
)

// size is what the last letter of a command says.
func size(name string) int { return 1 << strings.IndexByte(sizeSuffix, name[len(name)-1]) }

// numbers reads words as numbers in C's notation.
func numbers(w ...string) (out []uint64, ok bool) {
	for _, t := range w {
		v, err := strconv.ParseUint(t, 0, 64)
		if err != nil {
			i, err := strconv.ParseInt(t, 0, 64)
			if err != nil {
				return nil, false
			}
			v = uint64(i)
		}
		out = append(out, v)
	}
	return out, true
}

func (s *Server) in1(name string, w []string) string {
	n, ok := numbers(w[0])
	if !ok || n[0] > 0xffff {
		return badNumber
	}
	var b [4]byte
	s.t.Ports.Read(n[0], b[:size(name)])
	return fmt.Sprintf("OK 0x%04x", number(b[:size(name)]))
}

func (s *Server) out1(name string, w []string) string {
	n, ok := numbers(w[:2]...)
	if !ok || n[0] > 0xffff {
		return badNumber
	}
	s.t.Ports.Write(n[0], bytesOf(n[1], size(name)))
	return answerOK
}

func (s *Server) load(name string, w []string) string {
	n, ok := numbers(w[0])
	if !ok {
		return badNumber
	}
	var b [8]byte
	s.t.Memory.Read(n[0], b[:size(name)])
	return fmt.Sprintf("OK 0x%016x", number(b[:size(name)]))
}

func (s *Server) store(name string, w []string) string {
	n, ok := numbers(w[:2]...)
	if !ok {
		return badNumber
	}
	s.t.Memory.Write(n[0], bytesOf(n[1], size(name)))
	return answerOK
}

// number and bytesOf convert little-endian numbers.
func number(p []byte) (v uint64) {
	for i, b := range p {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func bytesOf(v uint64, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(v >> (8 * i))
	}
	return p
}

func (s *Server) read(name string, w []string) string {
	n, ok := numbers(w[:2]...)
	switch {
	case !ok:
		return badNumber
	case n[1] == 0 && name == "read" || n[1] > dataLimit:
		return badSize
	}
	b := make([]byte, n[1])
	s.t.Memory.Read(n[0], b)
	if name == "read" {
		return "OK 0x" + hex.EncodeToString(b)
	}
	return "OK " + base64.StdEncoding.EncodeToString(b)
}

// write writes hexadecimal digits after "0x", or base64; what the text lacks is zero in the first form and left alone in the second.
func (s *Server) write(name string, w []string) string {
	n, ok := numbers(w[:2]...)
	switch {
	case !ok:
		return badNumber
	case len(w[2]) < 3 || n[1] > dataLimit:
		return badSize
	}
	var data []byte
	if name == "write" {
		data = make([]byte, n[1])
		digits := w[2][2:]
		digits = digits[:min(len(digits)&^1, 2*len(data))]
		if _, err := hex.Decode(data, []byte(digits)); err != nil {
			return "ERR invalid digits"
		}
	} else {
		var err error
		if data, err = base64.StdEncoding.DecodeString(w[2]); err != nil {
			return "ERR invalid base64"
		}
		data = data[:min(uint64(len(data)), n[1])]
	}
	s.t.Memory.Write(n[0], data)
	return answerOK
}

func (s *Server) memset(_ string, w []string) string {
	n, ok := numbers(w[:3]...)
	switch {
	case !ok:
		return badNumber
	case n[1] > dataLimit:
		return badSize
	}
	b := make([]byte, n[1])
	for i := range b {
		b[i] = byte(n[2])
	}
	s.t.Memory.Write(n[0], b)
	return answerOK
}

// device finds a device by its path or the end of it.
func (s *Server) device(path string) qdev.Device {
	n, err := s.t.Root.Resolve(path)
	if err != nil {
		return nil
	}
	d, _ := n.Object().(qdev.Device)
	return d
}

// watch notes the device whose lines are reported: there can be one.
func (s *Server) watch(path string, tap func(*qdev.Base)) string {
	d := s.device(path)
	switch {
	case d == nil:
		return noDevice
	case s.watched != nil && s.watched != d:
		return "FAIL IRQ intercept already enabled"
	case s.watched == nil:
		s.watched = d
		tap(d.Dev())
	}
	return answerOK
}

func (s *Server) watchInputs(_ string, w []string) string {
	return s.watch(w[0], func(b *qdev.Base) { b.TapInputs(s.lineChanged) })
}

func (s *Server) watchOutputs(_ string, w []string) string {
	return s.watch(w[0], func(b *qdev.Base) { b.TapOutputs(s.lineChanged) })
}

func (s *Server) setInput(_ string, w []string) string {
	d := s.device(w[0])
	n, ok := numbers(w[2:4]...)
	switch {
	case d == nil:
		return noDevice
	case !ok:
		return badNumber
	case w[1] != "unnamed-gpio-in" || n[0] >= uint64(len(d.Dev().Inputs())):
		return "FAIL Unknown line"
	}
	d.Dev().Inputs()[n[0]].Set(n[1] != 0)
	return answerOK
}

// clockStep moves the virtual clock by some time, or to the next timer.
func (s *Server) clockStep(w []string) string {
	step := int64(0)
	if len(w) > 0 {
		n, ok := numbers(w[0])
		if !ok {
			return badNumber
		}
		step = int64(n[0])
	} else if at, ok := clock.Virtual.Deadline(); ok {
		step = max(at-clock.Virtual.Now(), 0)
	}
	return s.advance(step)
}

func (s *Server) clockSet(w []string) string {
	if len(w) == 0 {
		return "ERR invalid number of arguments"
	}
	n, ok := numbers(w[0])
	if !ok {
		return badNumber
	}
	return s.advance(int64(n[0]) - clock.Virtual.Now())
}

// advance moves the virtual clock, never back, and runs the timers that become due.
func (s *Server) advance(ns int64) string {
	if ns > 0 {
		clock.Virtual.Advance(ns)
	}
	return fmt.Sprintf("OK %d", clock.Virtual.Now())
}
