package gdbstub

import (
	"strconv"
	"strings"

	"goemu/accel"
)

// resumeOne is c, s, C or S: the current CPU steps or continues, with the others in the second case.
func (s *Server) resumeOne(kind byte, arg string) (answer string, silent bool) {
	if kind == 'C' || kind == 'S' { // the signal has no meaning here
		_, arg, _ = strings.Cut(arg, ";")
	}
	if arg != "" {
		pc, err := strconv.ParseUint(arg, 16, 64)
		if err != nil {
			return errArg, false
		}
		s.setPC(s.curC, pc)
	}
	if kind == 'c' || kind == 'C' {
		return s.start(nil)
	}
	return s.start(map[int]byte{s.curC: 's'})
}

func (s *Server) setPC(cpu int, pc uint64) {
	c := s.t.CPUs[cpu]
	st := c.State()
	st.RIP = pc
	c.SetState(st)
}

// multiLetter is a packet that begins with v.
func (s *Server) multiLetter(p string) (answer string, silent bool) {
	switch {
	case p == "vCont?":
		return "vCont;c;C;s;S", false
	case strings.HasPrefix(p, "vCont;"):
		actions, ok := s.parseActions(p[len("vCont;"):])
		if !ok {
			return errArg, false
		}
		return s.start(actions)
	case strings.HasPrefix(p, "vAttach;"):
		return "T05thread:" + s.thread(0) + ";", false
	case strings.HasPrefix(p, "vKill;"):
		s.t.Kill()
		return answerOK, false
	}
	return "", false
}

// parseActions reads the list of vCont; the first action that names a CPU counts. nil means that all continue.
func (s *Server) parseActions(list string) (actions map[int]byte, ok bool) {
	actions = map[int]byte{}
	for item := range strings.SplitSeq(list, ";") {
		verb, id, named := strings.Cut(item, ":")
		if verb == "" {
			return nil, false
		}
		act := verb[0] | 0x20
		if act != 'c' && act != 's' {
			return nil, false
		}
		cpu := allThreads
		if named {
			if cpu, ok = s.parseThread(id); !ok {
				return nil, false
			}
		}
		for i := range s.t.CPUs {
			if (cpu == allThreads || cpu == i) && actions[i] == 0 {
				actions[i] = act
			}
		}
	}
	return actions, true
}

// start lets CPUs go on as the actions say and answers nothing: the answer is sent when the machine stops.
func (s *Server) start(actions map[int]byte) (answer string, silent bool) {
	for _, act := range actions {
		if act == 's' && s.t.Debugger == nil {
			return errArg, false
		}
	}
	s.waiting = true
	if !s.resume(actions) {
		s.waiting = false
		return errArg, false
	}
	return "", true
}

// resume starts the machine. CPUs without an action stay where they are.
func (s *Server) resume(actions map[int]byte) bool {
	for i, c := range s.t.CPUs {
		if actions != nil && actions[i] == 0 {
			c.Raise(accel.IRQHalt)
		} else if actions[i] == 's' {
			s.t.Debugger.SetStep(c.Index(), true)
		}
	}
	s.stop = nil
	return s.t.Continue() == nil && s.t.VM.Running()
}
