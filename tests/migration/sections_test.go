package migration

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/hw/qdev"
	"goemu/internal/mainloop"
	"goemu/migration/vmstate"
	"goemu/migration/vmstate/vmstatetest"
	"goemu/target/x86"
)

// TestSections loads every section that QEMU writes into our machine's device and compares what that writes then.
func TestSections(t *testing.T) {
	const code = "mov ecx, 1000000\n.l: loop .l\ncli\nhlt\n"
	for _, c := range []struct {
		machine string
		devices []string
	}{
		{"pc-i440fx-7.2", []string{"virtio-rng-pci,packed=on", "virtio-serial-pci"}},
		{"microvm", []string{"virtio-rng-device", "virtio-serial-device"}},
	} {
		t.Run(c.machine, func(t *testing.T) {
			kernel := assemble(t, code)
			args := []string{"-M", c.machine, "-cpu", "max", "-smp", "2", "-m", "16", "-kernel", kernel, "-serial", "null", "-rtc", "clock=vm"} // the time of day must not go on in between
			for _, d := range c.devices {
				args = append(args, "-device", d)
			}
			m := newMachine(t, c.machine, kernel, 2, c.devices...)
			m.Start()
			mainloop.Lock.Lock()
			defer mainloop.Lock.Unlock()
			ours := map[string]vmstate.State{}
			for _, s := range m.LoadSections() {
				ours[fmt.Sprint(s.Name, " ", s.Instance)] = s.State
			}
			for _, s := range vmstatetest.Migrate(t, args...) {
				key := fmt.Sprint(s.Name, " ", s.Instance)
				if s.Name == "globalstate" { // the engine's
					continue
				}
				state := ours[key]
				if !assert.NotNil(t, state, "no section %s", key) {
					continue
				}
				delete(ours, key)
				if l := state.Layout(); len(l.Fields) > 0 { // others are only kept
					checkLayout(t, s.Name, l, s.Desc)
				}
				if !strings.HasPrefix(s.Name, "cpu") { // these write the CPU's state, not what was loaded: TestCPU
					checkBytes(t, key, state, s)
				}
			}
			delete(ours, "kvmclock 0") // understood, and sent only by KVM's machines
			for key := range ours {
				assert.Fail(t, "QEMU has no section "+key)
			}
		})
	}
}

// checkBytes loads QEMU's state and compares what is saved then.
func checkBytes(t *testing.T, key string, state vmstate.State, s vmstatetest.Section) {
	t.Helper()
	r := vmstate.NewReader(s.Data)
	if !assert.NoError(t, state.Load(r, s.Version), key) {
		return
	}
	assert.Zero(t, r.Len(), "%s: bytes left", key)
	var w vmstate.Writer
	state.Save(&w)
	if !bytes.Equal(w.Bytes(), s.Data) {
		assert.Fail(t, fmt.Sprintf("%s changes on its way:\nQEMU % x\nours % x", key, s.Data, w.Bytes()))
	}
}

// element is how QEMU numbers fields that it lists one by one.
var element = regexp.MustCompile(`\[\d+\]$`)

// checkLayout compares the order of the fields' names.
func checkLayout(t *testing.T, path string, l *vmstate.Layout, d *vmstatetest.Desc) {
	t.Helper()
	assert.Equal(t, d.Version, l.Version, "%s: version", path)
	var want, got []string
	for _, f := range d.Fields {
		want = append(want, element.ReplaceAllString(f.Name, ""))
	}
	want = slices.Compact(want)
	for _, f := range l.Fields {
		if name := element.ReplaceAllString(f.Field, ""); len(got) == 0 || got[len(got)-1] != name {
			got = append(got, name)
		}
		for _, w := range d.Fields {
			if w.Name == f.Field && f.Nested != nil && w.Struct != nil {
				checkLayout(t, path+"."+f.Field, f.Nested, w.Struct)
			}
		}
	}
	missing := got
	for _, w := range want {
		i := slices.Index(missing, w)
		if !assert.GreaterOrEqual(t, i, 0, "%s has no field %s at its place", path, w) {
			return
		}
		missing = missing[i+1:] // fields of ours in between exist under a condition
	}
	for _, s := range d.Subs {
		found := false
		for _, o := range l.Subsections {
			if o.Name == s.VMSDName {
				found = true
				checkLayout(t, o.Name, o, s)
			}
		}
		assert.True(t, found, "%s has no subsection %s", path, s.VMSDName)
	}
}

// cpuCode sets registers of all kinds and stops.
const cpuCode = `
 mov ebx, 0x11223344
 mov esp, 0x180000
 mov eax, cr4
 or eax, 0x50620        ; PAE, OSFXSR, OSXMMEXCPT, OSXSAVE, FSGSBASE
 mov cr4, eax
 xor edx, edx
 mov eax, 7
 xor ecx, ecx
 xsetbv
 vmovdqu ymm3, [data]
 vmovdqu xmm6, [data]
 ldmxcsr [mxcsr]
 fninit
 fldpi
 fld1
 fchs
 fldcw [fcw]
%macro msr 3
 mov ecx, %1
 mov edx, %2
 mov eax, %3
 wrmsr
%endmacro
 msr 0xc0000081, 0x00230010, 0
 msr 0xc0000082, 0, 0x00101234
 msr 0xc0000084, 0, 0x00047700
 msr 0xc0000102, 0x1234, 0x56789abc
 msr 0xc0000103, 0, 5
 msr 0x174, 0, 0x10
 msr 0x175, 0, 0x170000
 msr 0x176, 0, 0x101000
 msr 0x277, 0x00070105, 0x00070106
 msr 0x200, 0, 0xc0000000
 msr 0x201, 0xff, 0xc0000800
 msr 0x2ff, 0, 0xc06
 msr 0x250, 0x06060606, 0x06060606
 msr 0x26f, 0x05050505, 0x05050505
 msr 0x17a, 0, 4
 mov eax, 0x102000
 mov dr0, eax
 mov eax, 0x103000
 mov dr3, eax
 mov eax, 0x400
 mov dr7, eax
 mov eax, 0x90000000
 mov cr2, eax
 lgdt [gdtr]
 jmp 8:.cs
.cs:
 mov ax, 0x10
 mov ds, ax
 mov es, ax
 mov ss, ax
 mov gs, ax
 xor edi, edi
 mov ax, 0x18
 mov fs, ax
 lidt [idtr]
 mov eax, 0x20
 ltr ax
 mov eax, 0xffffffff
 cmp eax, 1
 std
 cli
 hlt
align 8
gdt: dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x0040931234560fff, 0x0000890300000067
gdtr: dw 39
 dd gdt
idtr: dw 0x7ff
 dd 0x104000
mxcsr: dd 0x1fa0
fcw: dw 0x27f
align 32
data: dq 0x0123456789abcdef, 0x1111222233334444, 0x5555666677778888, 0x9999aaaabbbbcccc
`

// TestCPU executes a program in both and compares the state of the CPU member by member.
func TestCPU(t *testing.T) {
	kernel := assemble(t, cpuCode)
	var want x86.State
	for _, s := range vmstatetest.Migrate(t, "-M", "pc-i440fx-7.2", "-cpu", "max", "-m", "16", "-kernel", kernel) {
		for _, d := range []*vmstate.Description[x86.State]{&x86.CPUCommonState, &x86.CPUState} {
			if s.Name != d.Name {
				continue
			}
			r := vmstate.NewReader(s.Data)
			require.NoError(t, d.Load(&want, r, s.Version))
			require.Zero(t, r.Len(), s.Name)
			var w vmstate.Writer
			d.Save(&want, &w)
			require.Equal(t, s.Data, w.Bytes(), "%s changes on its way", s.Name)
		}
	}
	m := newMachine(t, "pc-i440fx-7.2", kernel, 1)
	execute(t, m)
	mainloop.Lock.Lock()
	defer mainloop.Lock.Unlock()
	got := cpuOf(t, m.Sections())
	// What differs for a reason: firmware and loader that ran before the program, and clocks.
	want.TSCOffset, got.TSCOffset, want.SMBase, got.SMBase, want.SMICount = 0, 0, 0, 0, 0
	want.FIP = got.FIP // not followed yet: 0
	for i := range want.Seg {
		const dropped, busy = 0xff0f00ff, x86.SegTSSBusy // QEMU keeps all of the descriptor's bits, and the busy bit of TR as it was
		want.Seg[i].Flags &^= dropped
		got.Seg[i].Flags &^= dropped
		if i == x86.TR {
			want.Seg[i].Flags |= busy
		}
	}
	compare(t, reflect.ValueOf(want), reflect.ValueOf(got))

	// The same state again in a second machine.
	load := m.LoadSections()
	for _, s := range m.Sections() {
		var w vmstate.Writer
		s.State.Save(&w)
		i := slices.IndexFunc(load, func(l qdev.Section) bool { return l.Name == s.Name && l.Instance == s.Instance })
		require.NoError(t, load[i].State.Load(vmstate.NewReader(w.Bytes()), s.State.Layout().Version), s.Name)
	}
	m.LoadDone()
	again := cpuOf(t, m.Sections())
	again.TSCOffset, again.SMBase = 0, 0
	require.Equal(t, got, again)
}

// cpuOf reads the state of the first CPU back from its sections.
func cpuOf(t *testing.T, list []qdev.Section) (s x86.State) {
	t.Helper()
	for i, d := range []*vmstate.Description[x86.State]{&x86.CPUCommonState, &x86.CPUState} {
		var w vmstate.Writer
		list[1+i].State.Save(&w)
		require.NoError(t, d.Load(&s, vmstate.NewReader(w.Bytes()), d.Version))
	}
	return s
}

// compare reports every exported member that differs.
func compare(t *testing.T, want, got reflect.Value) {
	t.Helper()
	for i := range want.NumField() {
		f := want.Type().Field(i)
		if w, g := want.Field(i), got.Field(i); f.IsExported() {
			assert.Equal(t, fmt.Sprintf("%x", w.Interface()), fmt.Sprintf("%x", g.Interface()), f.Name)
		}
	}
}
