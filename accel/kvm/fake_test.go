package kvm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"goemu/accel"
	"goemu/accel/acceltest"
)

// fake is a kernel whose virtual machines do what run says.
type fake struct {
	mu      sync.Mutex
	next    int
	open_   map[int]bool // descriptors
	maps    int
	made    []request          // all requests so far
	fail    map[request]error  // what is refused
	caps    map[capability]int // instead of 1
	runs    atomic.Int64       // how often the guest was entered
	guest   func(page []byte) error
	page    []byte
	ring    []byte
	dirty   map[uint32]uint64 // what reqGetDirtyLog gives as the first word, by slot
	cleared []clearLog        // by reqClearDirtyLog
	signals chan struct{}

	cpuid   []cpuidEntry       // of reqGetSupportedCPUID
	hyperv  []cpuidEntry       // of reqGetHyperVCPUID
	listed  []uint32           // of reqGetMSRIndexList
	kept    map[request][]byte // what was set, by the request that gets it
	msrs    map[uint32]uint64  // registers that were set
	regions []memoryRegion     // that were told
	stats   []byte             // what a descriptor of reqGetStatsFD reads
}

// getters are the requests that give what others set.
var getters = map[request]request{reqSetXsave: reqGetXsave, reqSetSregs: reqGetSregs, reqSetSregs2: reqGetSregs2, reqSetRegs: reqGetRegs, reqSetXcrs: reqGetXcrs,
	reqSetEvents: reqGetEvents, reqSetDebugRegs: reqGetDebugRegs, reqSetMPState: reqGetMPState, reqSetLAPIC: reqGetLAPIC,
	reqSetGSIRouting: reqSetGSIRouting, reqIRQFD: reqIRQFD}

// keep remembers what is set, and gives it back.
func (f *fake) keep(r request, data []byte) {
	if f.kept == nil {
		f.kept, f.msrs = map[request][]byte{}, map[uint32]uint64{}
	}
	if g, ok := getters[r]; ok {
		f.kept[g] = slices.Clone(data)
	}
	if r == reqGetXsave2 {
		r = reqGetXsave
	}
	copy(data, f.kept[r])
}

// moveMSRs sets or gets registers, all but one that is not there.
func (f *fake) moveMSRs(data []byte, set bool) int {
	n := int(le.Uint32(data))
	for i := range n {
		p := data[8+16*i:]
		switch index := le.Uint32(p); {
		case index == absentMSR:
			return i
		case set:
			f.msrs[index] = le.Uint64(p[8:])
		default:
			le.PutUint64(p[8:], f.msrs[index])
		}
	}
	return n
}

const absentMSR = 0xc0000103

// putCPUID gives leaves.
func putCPUID(data []byte, list []cpuidEntry) {
	var l cpuidList
	l.N = uint32(copy(l.Entries[:], list))
	copy(data, bytesOf(&l))
}

func newFake() *fake {
	return &fake{next: 100, open_: map[int]bool{}, fail: map[request]error{}, caps: map[capability]int{capCoalescedMMIO: 0, capMCE: 32, capMaxVCPUs: 4, capNotifyExit: 0}, signals: make(chan struct{}, 1)}
}

func (f *fake) fd() int {
	f.next++
	f.open_[f.next] = true
	return f.next
}

func (f *fake) open(string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail[0]; err != nil {
		return -1, err
	}
	return f.fd(), nil
}

func (f *fake) close(fd int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.open_[fd] {
		return unix.EBADF
	}
	delete(f.open_, fd)
	return nil
}

func (f *fake) mmap(_ int, offset int64, size int) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail[1]; err != nil {
		return nil, err
	}
	f.maps++
	if offset != 0 {
		f.ring = bytesOf(new([12288]byte))[:size]
		return f.ring, nil
	}
	f.page = bytesOf(new([12288]byte))[:size]
	return f.page, nil
}

func (f *fake) munmap([]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.maps--
	return nil
}

func (f *fake) pread(_ int, p []byte, off int64) (int, error) {
	if off > int64(len(f.stats)) {
		return 0, nil
	}
	return copy(p, f.stats[off:]), nil
}

func (f *fake) interrupt(int) error {
	select {
	case f.signals <- struct{}{}:
	default:
	}
	return nil
}

func (f *fake) permitGuest(int) error { return nil }

func (f *fake) ioctl(fd int, r request, arg uint64) (int, error) {
	f.mu.Lock()
	f.made = append(f.made, r)
	err := f.fail[r]
	if !f.open_[fd] {
		err = unix.EBADF
	}
	f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	switch r {
	case reqGetAPIVersion:
		return apiVersion, nil
	case reqCheckExtension:
		if n, ok := f.caps[capability(arg)]; ok {
			return n, nil
		}
		return 1, nil
	case reqGetVCPUMmapSize:
		return 12288, nil
	case reqCreateVM, reqCreateVCPU, reqGetStatsFD:
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.fd(), nil
	}
	return 0, nil
}

func (f *fake) run(fd int, _ bool) error {
	if _, err := f.ioctl(fd, reqRun, 0); err != nil {
		return err
	}
	f.runs.Add(1)
	if flagWord(f.page).Load()>>(8*runImmediateExit)&1 != 0 {
		return unix.EINTR
	}
	return f.guest(f.page)
}

func (f *fake) ioctlData(fd int, r request, data []byte) (int, error) {
	if _, err := f.ioctl(fd, r, 0); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keep(r, data)
	switch r {
	case reqGetMSRs, reqSetMSRs:
		return f.moveMSRs(data, r == reqSetMSRs), nil
	case reqSetMemoryRegion:
		var m memoryRegion
		copy(bytesOf(&m), data)
		f.regions = append(f.regions, m)
	case reqGetDeviceAttr:
		writeWord(le.Uint64(data[16:]), 1<<dynamicComponent)
	case reqGetHyperVCPUID:
		putCPUID(data, f.hyperv)
	case reqGetDirtyLog:
		if w := f.dirty[le.Uint32(data)]; w != 0 {
			writeWord(le.Uint64(data[8:]), w)
		}
	case reqClearDirtyLog:
		var c clearLog
		copy(bytesOf(&c), data)
		f.cleared = append(f.cleared, c)
	case reqGetMSRIndexList:
		l := msrIndices{N: 1, Indices: [maxIndices]uint32{absentMSR}}
		l.N += uint32(copy(l.Indices[1:], f.listed))
		copy(data, bytesOf(&l))
	case reqGetSupportedCPUID:
		putCPUID(data, f.cpuid)
	}
	return 0, nil
}

// machine makes a machine with a CPU on the fake kernel.
func (f *fake) machine(t *testing.T, chips accel.Chips) (*acceltest.Machine, *Accel, error) {
	t.Helper()
	return f.machineOf(t, Options{Chips: chips})
}

// machineOf is machine with options.
func (f *fake) machineOf(t *testing.T, o Options) (*acceltest.Machine, *Accel, error) {
	t.Helper()
	chips := o.Chips
	h, err := open(f)
	if err != nil {
		return nil, nil, err
	}
	m := acceltest.New(t, nil)
	o.Host, o.Config, o.Memory, o.Machine = h, testConfig(t, h, "qemu64"), m.AS, m
	a, err := New(o)
	if err != nil {
		return nil, nil, err
	}
	if chips == accel.ChipsAll {
		if err := a.CreatePIT(true); err != nil {
			return m, a, errors.Join(err, a.Close())
		}
	}
	if _, err := a.NewCPU(0, 0); err != nil {
		return m, a, errors.Join(err, a.Close())
	}
	return m, a, nil
}

// TestEachRequestFails makes every request fail in turn: the error names it, and nothing stays behind.
func TestEachRequestFails(t *testing.T) {
	for _, chips := range []accel.Chips{accel.ChipsNone, accel.ChipsLocal, accel.ChipsAll} {
		all := newFake()
		all.guest = func([]byte) error { return unix.EINTR }
		_, a, err := all.machine(t, chips)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil || len(all.open_) != 0 || all.maps != 0 {
			t.Fatalf("%v; %d descriptors, %d mappings stay", err, len(all.open_), all.maps)
		}
		seen := map[request]bool{0: true, 1: true}
		for _, r := range all.made {
			seen[r] = true
		}
		for _, r := range slices.Sorted(maps.Keys(seen)) {
			f := newFake()
			f.guest = all.guest
			f.fail[r] = unix.ENOMEM
			_, a, err := f.machine(t, chips)
			switch {
			case r == reqGetTSCKHz || r == reqSetTSCKHz || r == reqGetDeviceAttr: // asked for, not needed
				if err == nil {
					_ = a.Close()
				}
			case r == reqCreatePIT && strings.HasPrefix(fmt.Sprint(err), "Create kernel PIC irqchip failed: "),
				r == reqReinject && strings.HasPrefix(fmt.Sprint(err), "Can't disable in-kernel PIT reinjection: "): // QEMU's words
			case err == nil:
				t.Errorf("%s fails and nothing tells", requestNames[r])
				_ = a.Close()
			case r > 1 && r != reqGetAPIVersion && r != reqCheckExtension && !strings.Contains(err.Error(), requestNames[r]),
				!strings.Contains(err.Error(), "annot allocate memory") && r != reqCheckExtension:
				t.Errorf("%s: %v", requestNames[r], err)
			}
			if len(f.open_) != 0 || f.maps != 0 {
				t.Errorf("%s: %d descriptors, %d mappings stay", requestNames[r], len(f.open_), f.maps)
			}
		}
	}
}

// TestMissingCapability: every capability without which nothing works is named when it is missing.
func TestMissingCapability(t *testing.T) {
	for _, c := range capabilities {
		f := newFake()
		f.caps[c.number] = 0
		h, err := open(f)
		switch {
		case c.required && (err == nil || err.Error() != "failed to initialize kvm: Invalid argument (kvm does not support "+c.name+")"):
			t.Errorf("%s: %v", c.name, err)
		case !c.required && err != nil:
			t.Errorf("%s: %v", c.name, err)
		}
		if h != nil {
			h.Close()
		}
	}
}

// TestOddExits: whatever the kernel says ends in a request to the machine that says what it was, never in a panic.
func TestOddExits(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(page []byte) error
		want string
	}{
		{"unknown", func(p []byte) error { le.PutUint32(p[runReason:], 0); return nil }, "KVM: unknown exit, hardware reason 0"},
		{"new", func(p []byte) error { le.PutUint32(p[runReason:], 4711); return nil }, "KVM: unknown exit"},
		{"entry", func(p []byte) error { le.PutUint32(p[runReason:], exitFailEntry); p[runExit] = 0x21; return nil }, "hardware error 0x21"},
		{"emulation", func(p []byte) error {
			le.PutUint32(p[runReason:], exitInternalError)
			le.PutUint32(p[errSuberror:], 1)
			le.PutUint32(p[errCount:], 100)
			return nil
		}, "KVM internal error. Suberror: 1\nextra data[0]"},
		{"port", func(p []byte) error { le.PutUint32(p[runReason:], exitIO); p[ioSize] = 3; return nil }, "makes no sense"},
		{"far", func(p []byte) error {
			le.PutUint32(p[runReason:], exitIO)
			p[ioSize] = 1
			le.PutUint32(p[ioCount:], 1)
			le.PutUint64(p[ioOffset:], ^uint64(0))
			return nil
		}, "makes no sense"},
		{"memory", func(p []byte) error { le.PutUint32(p[runReason:], exitMMIO); le.PutUint32(p[mmioLen:], 9); return nil }, "makes no sense"},
		{"fault", func([]byte) error { return unix.EFAULT }, "error: kvm run failed Bad address"},
		{"triple fault", func(p []byte) error { le.PutUint32(p[runReason:], exitShutdown); return nil }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.guest = tt.run
			m, a, err := f.machine(t, accel.ChipsNone)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			a.Start()
			select {
			case code := <-m.Exit:
				if !strings.Contains(m.Why(), tt.want) || (code == -1) != (tt.want == "") {
					t.Errorf("%d: %s", code, m.Why())
				}
			case <-time.After(30 * time.Second):
				t.Fatal("nothing is said")
			}
			a.Pause() // the CPU has stopped
		})
	}
}

// TestEOIExit: what the kernel says of the end of an interrupt reaches who has asked for it, and the routes are told before.
func TestEOIExit(t *testing.T) {
	f := newFake()
	vectors := make(chan uint8, 1)
	first := true
	f.guest = func(p []byte) error {
		if !first {
			<-f.signals
			return unix.EINTR
		}
		first = false
		le.PutUint32(p[runReason:], exitIOAPICEOI)
		p[runExit] = 0x42
		return nil
	}
	_, a, err := f.machine(t, accel.ChipsLocal)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.OnEOI(func(v uint8) { vectors <- v })
	a.RoutePins(make([]accel.MSIRoute, ioapicPins+1))
	if !slices.Contains(f.made, reqSetGSIRouting) {
		t.Error("no routes")
	}
	a.Start()
	if v := <-vectors; v != 0x42 {
		t.Errorf("vector %#x", v)
	}
}

// TestNotifyExit: a guest that lets no event through goes on with a warning, or stops, and stops where its state is lost.
func TestNotifyExit(t *testing.T) {
	for _, tt := range []struct {
		notify NotifyExit
		flags  byte
		warns  int
		want   string // why the machine stops
	}{
		{NotifyRun, 0, 1, ""},
		{NotifyRun, notifyInvalid, 0, "KVM internal error: Encounter a notify exit with invalid context in guest."},
		{NotifyInternal, 0, 0, "KVM internal error: Encounter a notify exit with valid context in guest."},
	} {
		f := newFake()
		f.caps[capNotifyExit] = 1
		n := 0
		f.guest = func(p []byte) error {
			if n++; n > 3 { // the end of the program
				le.PutUint32(p[runReason:], exitShutdown)
				return nil
			}
			le.PutUint32(p[runReason:], exitNotify)
			p[runExit] = tt.flags
			return nil
		}
		warned := 0
		m, a, err := f.machineOf(t, Options{Notify: tt.notify, Warn: func(string) { warned++ }})
		if err != nil {
			t.Fatal(err)
		}
		a.Start()
		<-m.Exit
		if err := a.Close(); err != nil || warned != tt.warns || !strings.HasPrefix(m.Why(), tt.want) || tt.want == "" && m.Why() != "" {
			t.Errorf("%+v: %v, %d warnings, %q", tt, err, warned, m.Why())
		}
		f.fail[reqEnableCap], f.caps[capTripleFault] = unix.ENOMEM, 0
		if _, _, err := f.machineOf(t, Options{Notify: tt.notify}); err == nil || err.Error() != "kvm: Failed to enable notify vmexit cap: Cannot allocate memory" {
			t.Error(err)
		}
		delete(f.fail, reqEnableCap)
		if _, a, err = f.machineOf(t, Options{Notify: NotifyDisable}); err != nil {
			t.Fatal(err)
		}
		_ = a.Close()
	}
}

// TestInterruptStorm: a kernel that comes back for no reason all the time changes nothing.
func TestInterruptStorm(t *testing.T) {
	f := newFake()
	n := 0
	f.guest = func(p []byte) error {
		if n++; n%2 == 0 {
			return unix.EAGAIN
		} else if n < 20000 {
			return unix.EINTR
		}
		le.PutUint32(p[runReason:], exitIO)
		p[ioDirection], p[ioSize] = 1, 1
		le.PutUint16(p[ioPort:], 0xf4)
		le.PutUint32(p[ioCount:], 1)
		le.PutUint64(p[ioOffset:], 4096)
		p[4096] = 3
		return nil
	}
	m, a, err := f.machine(t, accel.ChipsNone)
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	if code := wait(t, m, a); code != 7 {
		t.Errorf("status %d", code)
	}
	if err := a.Close(); err != nil || len(f.open_) != 0 || f.maps != 0 {
		t.Errorf("%v; %d descriptors, %d mappings stay", err, len(f.open_), f.maps)
	}
}

// TestNoLostKick: a guest that never leaves by itself is always got out of.
func TestNoLostKick(t *testing.T) {
	f := newFake()
	f.guest = func([]byte) error {
		<-f.signals
		return unix.EINTR
	}
	_, a, err := f.machine(t, accel.ChipsNone)
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	done := make(chan error, 1)
	go func() {
		for i := range 3000 {
			a.Pause()
			a.Resume()
			if ran := false; i%3 == 0 {
				a.CPUs()[0].Do(func() { ran = true })
				if !ran {
					done <- fmt.Errorf("Do returned without having run")
					return
				}
			} else if i%3 == 1 {
				a.exclusive(func() {})
			}
		}
		done <- a.Close()
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("a CPU does not come out of the guest")
	}
}

// FuzzExit: any contents of the shared page are decoded within it.
func FuzzExit(f *testing.F) {
	f.Add(make([]byte, runMin))
	f.Fuzz(func(t *testing.T, data []byte) {
		page := make([]byte, 4096)
		copy(page, data)
		for _, reason := range []uint32{le.Uint32(page[runReason:]), exitIO, exitMMIO, exitInternalError} {
			le.PutUint32(page[runReason:], reason)
			e, ok := decode(page)
			if !ok {
				continue
			}
			if e.reason == exitIO && (e.offset < 0 || e.offset+e.count*e.size > len(page)) || e.reason == exitMMIO && e.offset+e.size > len(page) {
				t.Fatalf("%+v lies outside", e)
			}
		}
	})
}

// TestSetMSRAfterReset: what firmware would have set, set for it, leaves the state after reset as it is.
func TestSetMSRAfterReset(t *testing.T) {
	_, a, err := newFake().machine(t, accel.ChipsNone)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	c := a.CPUs()[0]
	c.Reset()
	want := *c.Env()
	c.SetMSR(0x250, 0x0606060606060606)
	if got := *c.Env(); got != want {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if got := c.State().MTRRFixed[0]; got != 0x0606060606060606 {
		t.Errorf("the register is %#x", got)
	}
}
