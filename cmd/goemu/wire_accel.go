package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"goemu/accel"
	"goemu/accel/tcg"
	"goemu/hw/pc"
	"goemu/internal/config"
	"goemu/internal/memory"
	"goemu/internal/trace"
	"goemu/target/x86"
	engine "goemu/tcg"
	"goemu/tcg/backend/amd64"
	front "goemu/tcg/frontend/x86"
	"goemu/tcg/interp"
	"goemu/tcg/ir"
)

// accelerator is one that -accel takes.
type accelerator struct {
	name string
	// choose fills in the machine's CPU and accelerator; an error makes the next accelerator of the user's list be tried.
	choose func(s *session, o config.Options, c *pc.Config) error
}

// accelerators lists them.
var accelerators = []accelerator{
	{"tcg", (*session).chooseTCG},
	{"kvm", (*session).chooseKVM},
	{"qtest", (*session).chooseQTest},
}

// chooseAccel takes the first accelerator of the user's list that works.
func (s *session) chooseAccel(c *pc.Config) error {
	list := s.vm.Accels
	if len(list) == 0 {
		list = []config.Options{{Pairs: []config.Pair{{Key: "accel", Value: "tcg"}}}}
	}
	var failed error // the last one's, not yet told
	next := false    // one has failed
	for _, o := range list {
		name, _ := o.Get("accel")
		i := slices.IndexFunc(accelerators, func(a accelerator) bool { return a.name == name })
		if i < 0 {
			err := from(o, fmt.Errorf("invalid accelerator %s", name))
			if len(list) == 1 {
				return err
			}
			complain(err.Error())
			next = true
			continue
		}
		err := accelerators[i].choose(s, o, c)
		if _, final := err.(optionError); final {
			return err
		}
		if err == nil {
			if next {
				fallBack(failed, name)
			}
			return nil
		}
		if failed != nil {
			complain(failed.Error())
		}
		failed, next = from(o, err), true
	}
	if failed == nil {
		failed = errors.New("no accelerator found")
	}
	return failed
}

// from puts the option that named an accelerator before an error; -machine, which names several, is left out, as QEMU does.
func from(o config.Options, err error) error {
	if o.Origin == "" {
		return err
	}
	return at(o.Origin, err)
}

// fallBack tells which accelerator is used because those before it cannot be, and why.
func fallBack(why error, name string) {
	text := "falling back to " + name
	if why != nil {
		text = why.Error() + "; " + text
	}
	complain(text)
}

// optionError is a mistake in an accelerator's options: falling back would hide it.
type optionError struct{ error }

// tcgOptions are the properties of -accel tcg.
type tcgOptions struct {
	engine string
	single bool
	cache  int // bytes
}

func parseTCG(o config.Options) (t tcgOptions, err error) {
	for _, p := range o.Without("accel").Pairs {
		v, _ := p.Value.(string)
		bad := fmt.Errorf("Invalid '%s' setting %s", p.Key, v)
		err = nil
		switch p.Key {
		case "engine":
			if t.engine = v; v != "jit" && v != "interp" {
				err = bad
			}
		case "thread":
			if t.single = v == "single"; v != "single" && v != "multi" {
				err = bad
			}
		case "tb-size":
			n, e := strconv.ParseUint(v, 0, 12)
			if t.cache = int(n) << 20; e != nil {
				err = fmt.Errorf("Parameter 'tb-size' expects a number of MiB below 4096")
			}
		case "split-wx":
			if v != "on" && v != "off" {
				err = fmt.Errorf("Parameter 'split-wx' expects 'on' or 'off'")
			}
		default:
			err = fmt.Errorf("Property 'tcg-accel.%s' not found", p.Key)
		}
		if err != nil {
			return t, optionError{at(o.Origin, err)}
		}
	}
	return t, nil
}

func (s *session) chooseTCG(o config.Options, c *pc.Config) error {
	t, err := parseTCG(o)
	if err != nil {
		return err
	}
	if c.CPU, err = s.cpuConfig(c, nil); err != nil {
		return optionError{err}
	}
	c.NewAccel = func(mem, smm *memory.AddressSpace, m accel.Machine) (pc.Accelerator, error) {
		e, err := newEngine(t)
		if err != nil {
			return nil, err
		}
		a, err := tcg.New(tcg.Options{Engine: e, Config: c.CPU, Memory: mem, SMM: smm, Machine: m, SingleThread: t.single, OneInsn: s.vm.SingleStep, Single: s.vm.SMP.MaxCPUs == 1})
		if err != nil {
			return nil, err
		}
		s.mon.run.SetSingleStep, s.translator = a.SetOneInsn, a.PrintInfo
		return tcgAccel{a}, nil
	}
	return nil
}

// newEngine makes what executes translated code: generated code where the host can, else the interpreter.
func newEngine(t tcgOptions) (engine.Engine, error) {
	if t.engine == "interp" {
		return interp.New(front.Globals), nil
	}
	e, err := amd64.New(front.Globals, amd64.Options{CacheSize: t.cache, Vec: x86.VecLayout, Bulk: &front.Bulk, Soft: softVector,
		Fast: tcg.FastHelper, FastIDs: tcg.FastHelpers, FastHost: tcg.FastHost, FastLookup: tcg.FastLookup})
	switch {
	case err == nil:
		e.Dump = func(b *ir.Block, entry uintptr, code []byte) { showCode(e, b, entry, code) }
		return e, nil
	case t.engine == "jit":
		return nil, err
	}
	warn(err.Error() + "; using the interpreter")
	return interp.New(front.Globals), nil
}

// showCode is -d out_asm.
func showCode(e *amd64.Engine, b *ir.Block, entry uintptr, code []byte) {
	if trace.On(trace.OutAsm) {
		const mode64 = 8
		trace.Printf(trace.OutAsm, "%s\n", e.Listing(b, entry, code, func(c []byte, pc uint64) (string, int) { return front.Disassemble(c, pc, mode64) }))
	}
}

// softVector executes a vector or x87 instruction that generated code leaves out.
func softVector(cpu engine.CPU, in *ir.Inst, args *[4]uint64) (ret, ret2, image uint64) {
	io := interp.VecIO{A: args[0], B: args[1], FIn: args[3]}
	interp.ExecVec(cpu.Header(), in, &io)
	return io.Dst, io.Dst2, io.FOut
}

// tcgAccel gives the accelerator's CPUs the type that the machine knows.
type tcgAccel struct{ *tcg.Accel }

func (a tcgAccel) NewCPU(index int, apicID uint32) (pc.CPU, error) {
	return a.Accel.NewCPU(index, apicID, nil)
}

// Remove implements pc.Accelerator.
func (a tcgAccel) Remove(c pc.CPU) { a.Accel.Remove(c.(*tcg.CPU)) }
