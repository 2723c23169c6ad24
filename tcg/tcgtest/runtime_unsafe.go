package tcgtest

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// harmless are the functions of Go's runtime that need neither a P nor a stack that grows, and what an index out of bounds ends with.
var harmless = []string{"runtime.duffcopy", "runtime.duffzero", "runtime.memmove", "runtime.memclrNoHeapPointers", "runtime.panicBounds"}

// Bare reports which functions of Go's runtime can be reached from functions that run in the system-call state, where the runtime must not
// notice them: write barriers, stack growth and allocation among others. Calls through pointers are not followed.
func Bare(t *testing.T, functions ...any) {
	t.Helper()
	if b, ok := debug.ReadBuildInfo(); ok && slices.Contains(b.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector's calls are everywhere")
	}
	seen := map[uintptr]bool{}
	var visit func(f *runtime.Func, from string)
	visit = func(f *runtime.Func, from string) {
		name := f.Name()
		switch {
		case seen[f.Entry()] || slices.Contains(harmless, name):
			return
		case strings.HasPrefix(name, "runtime."):
			t.Errorf("%s reaches %s", from, name)
			return
		}
		seen[f.Entry()] = true
		for pc := f.Entry(); runtime.FuncForPC(pc+5) != nil && runtime.FuncForPC(pc+5).Entry() == f.Entry(); pc++ {
			code := (*[5]byte)(unsafe.Add(nil, pc))
			if code[0] != 0xe8 && code[0] != 0xe9 { // CALL and JMP with 32-bit displacements
				continue
			}
			to := pc + 5 + uintptr(int32(uint32(code[1])|uint32(code[2])<<8|uint32(code[3])<<16|uint32(code[4])<<24))
			if g := runtime.FuncForPC(to); g != nil && g.Entry() == to {
				visit(g, name)
			}
		}
	}
	for _, f := range functions {
		visit(runtime.FuncForPC(reflect.ValueOf(f).Pointer()), "")
	}
	if len(seen) < len(functions) {
		t.Errorf("only %d functions were looked at", len(seen))
	}
}
