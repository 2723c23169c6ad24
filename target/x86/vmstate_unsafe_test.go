package x86

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"unsafe"

	"goemu/migration/vmstate"
)

// randomise fills a value with random numbers, except where only some are valid.
func randomise(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			randomise(r, reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem())
		}
	case reflect.Array:
		for i := range v.Len() {
			randomise(r, v.Index(i))
		}
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 1)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint32()))
	default:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
	}
}

// TestStateComplete: every member of State travels in one of its sections.
func TestStateComplete(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var want, got State
		randomise(r, reflect.ValueOf(&want).Elem())
		want.fpFormat, want.exceptionIndex, want.WaitSIPI = 0, 0, false
		if want.Mode2&Mode2NPT == 0 {
			want.SVM.NestedCR3, want.SVM.PagingMode = 0, 0
		}
		if !want.PDPTRValid {
			want.PDPTR = [4]uint64{}
		}
		for _, d := range []*vmstate.Description[State]{&CPUCommonState, &CPUState} {
			var w vmstate.Writer
			d.Save(&want, &w)
			rd := vmstate.NewReader(w.Bytes())
			if err := d.Load(&got, rd, d.Version); err != nil || rd.Len() != 0 {
				t.Fatalf("%s: %v, %d bytes left", d.Name, err, rd.Len())
			}
		}
		if got != want {
			g, w := reflect.ValueOf(got), reflect.ValueOf(want)
			for i := range g.NumField() {
				if !g.Field(i).Equal(w.Field(i)) {
					t.Errorf("%s: got\n%+v\nwant\n%+v", g.Type().Field(i).Name, g.Field(i), w.Field(i))
				}
			}
			return
		}
	}
}

// TestEnvState: what the environment holds comes back.
func TestEnvState(t *testing.T) {
	cfg, _, err := ParseOption("max", &TCGFeatures, "TCG")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		var a, b Env
		a.Reset(cfg, false)
		b.Reset(cfg, false)
		s := a.Save()
		for _, p := range []any{&s.Regs, &s.RIP, &s.Vec, &s.FP, &s.FTags, &s.Star, &s.LStar, &s.FMask, &s.KernelGSBase, &s.DR, &s.CR2, &s.FIP, &s.FOp, &s.PKRU} {
			randomise(r, reflect.ValueOf(p).Elem())
		}
		s.FTags &= 0xff
		s.RFLAGS = 0x8d7 // CF, PF, AF, ZF, SF, OF
		s.FSW = 0x1234 &^ fswTop
		s.FSW |= uint16(r.IntN(8)) << fswTopShift
		a.Load(s)
		b.Load(a.Save())
		if x, y := a.Save(), b.Save(); *x != *y || x.Regs != s.Regs || x.RFLAGS != s.RFLAGS || x.FSW != s.FSW || x.FTags != s.FTags || x.Vec != s.Vec || x.FP != s.FP {
			t.Fatalf("got\n%+v\nwant\n%+v", y, s)
		}
	}
}

func TestStateRefused(t *testing.T) {
	for want, change := range map[string]func(*State){
		"Unsupported old non-softfloat CPU state":                          func(s *State) { s.fpFormat = 1 },
		"cpu: incoming version_id 10 is not in the supported range 11..12": nil,
	} {
		var s State
		version := cpuVersion
		if change == nil {
			version = cpuMinVersion - 1
		} else {
			change(&s)
		}
		var w vmstate.Writer
		CPUState.Save(&s, &w)
		var got State
		if err := CPUState.Load(&got, vmstate.NewReader(w.Bytes()), version); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// FuzzCPUState loads damaged states into an environment: bytes replaced as in the fuzzing of disks, three each for place and value.
func FuzzCPUState(f *testing.F) {
	cfg, _, err := ParseOption("max", &TCGFeatures, "TCG")
	if err != nil {
		f.Fatal(err)
	}
	var e Env
	e.Reset(cfg, false)
	var w vmstate.Writer
	CPUState.Save(e.Save(), &w)
	good := w.Bytes()
	f.Add([]byte{0, 150, 3, 0xff, 0xff, 9})
	f.Fuzz(func(t *testing.T, patch []byte) {
		b := append([]byte(nil), good...)
		for ; len(patch) >= 3; patch = patch[3:] {
			if at := int(patch[0])<<8 | int(patch[1]); at < len(b) {
				b[at] = patch[2]
			} else {
				b = b[:max(0, len(b)-int(patch[2]))]
			}
		}
		var s State
		if CPUState.Load(&s, vmstate.NewReader(b), cpuVersion) != nil {
			return
		}
		var env Env
		env.Load(&s)
		if env.FPTop > 7 || env.CPL() > 3 {
			t.Errorf("stack top %d, privilege level %d", env.FPTop, env.CPL())
		}
		var again, got Env
		again.Load(env.Save())
		got.Load(again.Save())
		if *again.Save() != *got.Save() {
			t.Error("the state does not settle")
		}
	})
}
