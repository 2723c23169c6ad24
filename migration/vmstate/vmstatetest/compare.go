// Package vmstatetest compares layouts of migrated state with QEMU's.
package vmstatetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"goemu/internal/testprog"
	"goemu/migration/vmstate"
)

type entry struct {
	Description *vmstate.Layout `json:"Description"`
}

var dumps = struct {
	sync.Mutex
	of map[string]map[string]entry
}{of: map[string]map[string]entry{}}

// dump returns QEMU's description of every device type, as it is for a machine.
func dump(t testing.TB, machine string) map[string]entry {
	dumps.Lock()
	defer dumps.Unlock()
	if d := dumps.of[machine]; d != nil {
		return d
	}
	qemu := testprog.QEMU(t)
	file := filepath.Join(t.TempDir(), "vmstate.json")
	if out, err := exec.Command(qemu, "-M", machine, "-dump-vmstate", file).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: %v: %s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	raw := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &raw); err != nil {
		t.Fatal(err)
	}
	d := map[string]entry{}
	for name, m := range raw {
		var e entry
		if json.Unmarshal(m, &e) == nil && e.Description != nil {
			d[name] = e
		}
	}
	dumps.of[machine] = d
	return d
}

// Compare fails the test where l differs from QEMU's layout of the device type on machine type machine.
func Compare(t testing.TB, machine, device string, l *vmstate.Layout) {
	t.Helper()
	e, ok := dump(t, machine)[device]
	if !ok {
		t.Errorf("QEMU has no device type %s with state", device)
		return
	}
	want, got := normalise(e.Description), normalise(l)
	if w, g := want.JSON(), got.JSON(); !bytes.Equal(w, g) {
		t.Errorf("%s: layouts differ at %s\ngot  %s\nwant %s", device, firstDifference(g, w), g, w)
	}
}

// Has tells whether QEMU has a layout for a device type.
func Has(t testing.TB, machine, device string) bool {
	_, ok := dump(t, machine)[device]
	return ok
}

// normalise drops what has no meaning outside QEMU's own memory: the sizes of nested structures.
func normalise(l *vmstate.Layout) *vmstate.Layout {
	n := *l
	n.Fields, n.Subsections = nil, nil
	for _, f := range l.Fields {
		if f.Nested != nil {
			f.Size, f.Nested = 0, normalise(f.Nested)
		}
		n.Fields = append(n.Fields, f)
	}
	for _, s := range l.Subsections {
		n.Subsections = append(n.Subsections, normalise(s))
	}
	return &n
}

func firstDifference(a, b []byte) string {
	x, y := bytes.Split(a, []byte("\n")), bytes.Split(b, []byte("\n"))
	for i := range min(len(x), len(y)) {
		if !bytes.Equal(x[i], y[i]) {
			return fmt.Sprintf("line %d: %s, want %s", i+1, bytes.TrimSpace(x[i]), bytes.TrimSpace(y[i]))
		}
	}
	return "the end"
}

// RoundTrip saves a, loads the bytes into b and fails unless b then saves the same bytes and all input was used.
func RoundTrip(t testing.TB, version int, a, b vmstate.State) {
	t.Helper()
	var w, again vmstate.Writer
	a.Save(&w)
	r := vmstate.NewReader(w.Bytes())
	if err := b.Load(r, version); err != nil {
		t.Fatal(err)
	}
	if r.Len() != 0 {
		t.Errorf("%d bytes left", r.Len())
	}
	b.Save(&again)
	if !bytes.Equal(w.Bytes(), again.Bytes()) {
		t.Errorf("saved % x, loaded and saved again % x", w.Bytes(), again.Bytes())
	}
}
