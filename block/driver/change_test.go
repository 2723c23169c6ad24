package driver_test

import (
	"errors"
	"testing"

	"goemu/block"
)

// pass is a filter without anything of its own.
type pass struct{}

func (pass) Close() {}

var passDriver = &block.Driver{Name: "pass", Filter: true}

func TestInsertAndDropFilter(t *testing.T) {
	g, _ := newGraph(t)
	n := open(t, g, block.Mode{}, "driver", "raw", "node-name", "n", "file.driver", "file", "file.filename", image(t, 1<<20))
	b, err := backend(t, g, n, "d", read|write, read|resize)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	done := make(chan error)
	go func() { // requests go on meanwhile
		buf := make([]byte, 512)
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := errors.Join(b.Write(t.Context(), 4096, buf, 0), b.Read(t.Context(), 0, buf)); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 50 {
		f, err := g.InsertFilter(t.Context(), passDriver, "f", func(*block.Node) (block.Instance, error) { return pass{}, nil }, n)
		if err != nil {
			t.Fatal(err)
		}
		if b.Node() != f || f.Backing().Node() != n || len(n.Parents()) != 1 {
			t.Fatal("the filter is not in its place")
		}
		if err := g.DropFilter(f); err != nil {
			t.Fatal(err)
		}
		if b.Node() != n || len(f.Children()) != 0 {
			t.Fatal("the filter is still there")
		}
		g.Unref(f)
		if g.Find("f") != nil {
			t.Fatal("the filter is still open")
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReplaceRollsBack(t *testing.T) {
	g, _ := newGraph(t)
	rw := open(t, g, block.Mode{}, "driver", "null-co", "node-name", "rw")
	ro := open(t, g, block.Mode{ReadOnly: true}, "driver", "null-co", "node-name", "ro")
	b, err := backend(t, g, rw, "d", read|write, all)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.ReplaceNode(rw, ro); err == nil || err.Error() != "Block node is read-only" {
		t.Fatal(err)
	}
	if b.Node() != rw || len(ro.Parents()) != 0 || len(rw.Parents()) != 1 || rw.Quiesced() || ro.Quiesced() {
		t.Error("the failure left something behind")
	}
	if err := b.Write(t.Context(), 0, make([]byte, 512), 0); err != nil {
		t.Error(err)
	}
	g.Ref(rw)
	if err := errors.Join(b.SetPerm(read, all), g.ReplaceNode(rw, ro)); err != nil || b.Node() != ro {
		t.Error(err)
	}
	g.Unref(rw)
}

func TestReopen(t *testing.T) {
	g, _ := newGraph(t)
	n := open(t, g, block.Mode{}, "driver", "raw", "node-name", "n", "file.driver", "file", "file.filename", image(t, 1<<20), "file.node-name", "p")
	b, err := backend(t, g, n, "d", read, all)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.SetReadOnly(t.Context(), n, true); err != nil {
		t.Fatal(err)
	}
	if !n.ReadOnly() || !g.Find("p").ReadOnly() {
		t.Error("still writable")
	}
	if err := b.SetPerm(read|write, all); err == nil {
		t.Error("a reader became a writer")
	}
	if err := g.SetReadOnly(t.Context(), n, false); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.SetPerm(read|write, all), b.Write(t.Context(), 0, make([]byte, 512), 0)); err != nil {
		t.Error(err)
	}
	if err := g.SetReadOnly(t.Context(), n, true); err == nil || err.Error() != "Read-only block node 'n' cannot support read-write users" {
		t.Error(err)
	}
	if n.ReadOnly() || g.Find("p").ReadOnly() {
		t.Error("the failure left something behind")
	}
	for opt, want := range map[string]string{"driver": "Cannot change the option 'driver'", "node-name": "Cannot change the option 'node-name'", "x": "Cannot change the option 'x'"} {
		err := g.Reopen(t.Context(), block.ReopenRequest{Node: n, Options: block.OptionsOf(opt, "y"), KeepOld: true})
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v", opt, err)
		}
	}
	if err := g.Reopen(t.Context(), block.ReopenRequest{Node: n, Options: block.OptionsOf("size", 4096), KeepOld: true}); err != nil {
		t.Error(err)
	}
	if l, _ := b.Length(t.Context()); l != 4096 {
		t.Errorf("length %d", l)
	}
}

func TestFreeze(t *testing.T) {
	g, _ := newGraph(t)
	n := open(t, g, block.Mode{}, "driver", "null-co", "node-name", "n")
	f, err := g.InsertFilter(t.Context(), passDriver, "f", func(*block.Node) (block.Instance, error) { return pass{}, nil }, n)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Unref(f)
	if err := f.Freeze(n); err != nil {
		t.Fatal(err)
	}
	if err := f.Frozen(n); err == nil || err.Error() != "Cannot change 'backing' link from 'f' to 'n'" {
		t.Error(err)
	}
	other := open(t, g, block.Mode{}, "driver", "null-co", "node-name", "o")
	if err := g.ReplaceNode(n, other); err == nil || err.Error() != "Cannot change 'backing' link to 'n'" {
		t.Error(err)
	}
	if err := g.SetBacking(f, other); err == nil || err.Error() != "Cannot change frozen 'backing' link from 'f' to 'n'" {
		t.Error(err)
	}
	f.Unfreeze(n)
	if err := g.SetBacking(f, other); err != nil || f.Backing().Node() != other {
		t.Error(err)
	}
}
