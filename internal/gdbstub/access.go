package gdbstub

import (
	"encoding/hex"
	"strconv"
	"strings"

	"goemu/accel/linear"
)

// state is the state of the current CPU.
func (s *Server) state() *cpuState {
	c := &cpuState{State: s.t.CPUs[s.curG].State()}
	if s.t.TPR != nil {
		c.cr8 = s.t.TPR(s.t.CPUs[s.curG].Index()) >> 4
	}
	return c
}

func (s *Server) readAll() string {
	c := s.state()
	var out []byte
	for i := range s.regs {
		out = append(out, s.regs[i].read(c)...)
	}
	return hex.EncodeToString(out)
}

func (r *reg) read(c *cpuState) []byte {
	p := make([]byte, r.size)
	r.get(c, p)
	return p
}

// writeAll sets registers as far as the text goes.
func (s *Server) writeAll(digits string) string {
	data, err := hex.DecodeString(digits)
	if err != nil {
		return errArg
	}
	c := s.state()
	for i := range s.regs {
		r := &s.regs[i]
		if len(data) < r.size {
			break
		}
		r.set(c, data[:r.size])
		data = data[r.size:]
	}
	s.t.CPUs[s.curG].SetState(c.State)
	return answerOK
}

func (s *Server) readReg(arg string) string {
	n, err := strconv.ParseUint(arg, 16, 32)
	if err != nil || n >= uint64(len(s.regs)) {
		return errMemory
	}
	return hex.EncodeToString(s.regs[n].read(s.state()))
}

func (s *Server) writeReg(arg string) string {
	num, digits, _ := strings.Cut(arg, "=")
	n, err := strconv.ParseUint(num, 16, 32)
	data, err2 := hex.DecodeString(digits)
	if err != nil || err2 != nil || n >= uint64(len(s.regs)) || len(data) < s.regs[n].size {
		return errArg
	}
	c := s.state()
	r := &s.regs[n]
	r.set(c, data[:r.size])
	s.t.CPUs[s.curG].SetState(c.State)
	return answerOK
}

func (s *Server) readMemory(arg string) string {
	addr, n, ok := pair(arg)
	if !ok || n > packetLimit/2 {
		return errArg
	}
	buf := make([]byte, n)
	if !s.access(addr, buf, false) {
		return errMemory
	}
	return hex.EncodeToString(buf)
}

func (s *Server) writeMemory(arg string, binary bool) string {
	place, text, has := strings.Cut(arg, ":")
	addr, n, ok := pair(place)
	if !ok || !has {
		return errArg
	}
	data := []byte(text)
	if !binary {
		var err error
		if data, err = hex.DecodeString(text); err != nil {
			return errArg
		}
	}
	switch {
	case n != uint64(len(data)):
		return errArg
	case !s.access(addr, data, true):
		return errMemory
	}
	return answerOK
}

// access reads or writes memory as the current CPU sees it, or physical memory.
func (s *Server) access(addr uint64, p []byte, write bool) bool {
	st := s.t.CPUs[s.curG].State()
	as := s.t.Space(st)
	if s.physical {
		return linear.Physical(as, addr, p, write)
	}
	return linear.Access(as, st, addr, p, write)
}
