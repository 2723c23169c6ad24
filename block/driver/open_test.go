package driver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"goemu/block"
	"goemu/block/driver"
)

// newGraph makes a locked graph with all drivers.
func newGraph(t testing.TB) (*block.Graph, *strings.Builder) {
	t.Helper()
	g := block.NewGraph(driver.All())
	var out strings.Builder
	g.Messages = &out
	g.Lock()
	t.Cleanup(g.Unlock)
	return g, &out
}

func TestOpenNames(t *testing.T) {
	dir := t.TempDir()
	img := filepath.Join(dir, "a.img")
	if err := os.WriteFile(img, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		filename, options, name, driver string
		err                             string
	}{
		{img, "", img, "raw", ""},
		{"file:" + img, "", img, "raw", ""},
		{img, "driver=raw", img, "raw", ""},
		{img, "driver=raw,size=512", `json:{"driver": "raw", "size": "512", "file": {"driver": "file", "filename": "` + img + `"}}`, "raw", ""},
		{"", "driver=file,filename=" + img, img, "file", ""},
		{`json:{"driver":"raw","file":{"driver":"file","filename":"` + img + `"}}`, "", img, "raw", ""},
		{"json:{'driver':'null-co','size':65536}", "", `json:{"driver": "null-co", "size": 65536}`, "null-co", ""},
		{"null-co://", "", `json:{"driver": "raw", "file": {"driver": "null-co"}}`, "raw", "null"},
		{"null-co://x", "", "", "", "The only allowed filename for this driver is 'null-co://'"},
		{"json:{'driver':'null-co','size':65536", "", "", "", "Could not parse the JSON options: JSON parse error, premature EOI"},
		{"json:[]", "", "", "", "Invalid JSON object given"},
		{"foo:bar", "", "", "", "Unknown protocol 'foo'"},
		{img + "x", "", "", "", "Could not open '" + img + "x': No such file or directory"},
		{img, "driver=foo", "", "", "Unknown driver 'foo'"},
		{img, "driver=raw,a=b", "", "", "Block format 'raw' does not support the option 'a'"},
		{img, "driver=raw,file.a=b", "", "", "Block protocol 'file' doesn't support the option 'a'"},
		{img, "driver=file,filename=x", "", "", "Can't specify 'file' and 'filename' options at the same time"},
		{img, "driver=raw,node-name=0", "", "", "Invalid node-name: '0'"},
		{"", "", "", "", "Must specify either driver or file"},
		{"", "driver=file", "", "", "The 'file' block driver requires a file name"},
		{"", "driver=raw", "", "", `A block device must be specified for "file"`},
		{"", "driver=raw,file=nope", "", "", "Cannot find device='nope' nor node-name='nope'"},
		{dir, "driver=raw", "", "", "'file' driver requires '" + dir + "' to be a regular file"},
	} {
		t.Run(c.filename+" "+c.options, func(t *testing.T) {
			g, _ := newGraph(t)
			o := block.NewOptions()
			for _, kv := range strings.Split(c.options, ",") {
				if k, v, ok := strings.Cut(kv, "="); ok {
					o.Set(k, v)
				}
			}
			n, err := g.Open(t.Context(), c.filename, o, block.Mode{ReadOnly: true})
			if c.err == "null" && err == nil { // what the filename is depends on the rules for protocols without a file
				g.Unref(n)
				return
			}
			if err != nil {
				if err.Error() != c.err {
					t.Errorf("error %q, want %q", err, c.err)
				}
				if left := g.Nodes(); len(left) != 0 {
					t.Errorf("%d nodes left", len(left))
				}
				return
			}
			if n.Filename() != c.name || n.Driver().Name != c.driver || c.err != "" {
				t.Errorf("%s %q", n.Driver().Name, n.Filename())
			}
			g.Unref(n)
			if left := g.Nodes(); len(left) != 0 {
				t.Errorf("%d nodes left", len(left))
			}
		})
	}
}

func TestProbedRawGuards(t *testing.T) {
	img := filepath.Join(t.TempDir(), "a.img")
	if err := os.WriteFile(img, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	g, out := newGraph(t)
	n, err := g.Open(t.Context(), img, nil, block.Mode{})
	if err != nil {
		t.Fatal(err)
	}
	b := g.NewBackend("d", "", block.PermConsistentRead|block.PermWrite, block.PermAll)
	if err := b.Insert(n); err != nil {
		t.Fatal(err)
	}
	g.Unref(n)
	defer b.Delete()
	if !strings.HasPrefix(out.String(), "WARNING: Image format was not specified for '"+img+"'") {
		t.Errorf("warning: %q", out)
	}
	head := make([]byte, 512)
	copy(head, "QED\x00")
	if err := b.Write(t.Context(), 0, head, 0); block.Errno(err) != 1 {
		t.Errorf("another format's signature: %v", err)
	}
	if err := b.Write(t.Context(), 0, make([]byte, 1024), 0); err != nil {
		t.Error(err)
	}
	if l, _ := b.Length(t.Context()); l != 4096 {
		t.Errorf("length %d", l)
	}
}

func FuzzFilename(f *testing.F) {
	f.Add("json:{'driver':'raw','file':{'driver':'null-co'}}")
	f.Add("file:x:y")
	f.Add("json:{\"a\": [1, {\"b\": null}]}")
	f.Fuzz(func(t *testing.T, name string) {
		if strings.Contains(name, "/") { // nothing of the host but this directory
			return
		}
		t.Chdir(t.TempDir())
		g, _ := newGraph(t)
		n, err := g.Open(t.Context(), name, nil, block.Mode{ReadOnly: true})
		if err == nil {
			g.Unref(n)
		}
		if left := g.Nodes(); len(left) != 0 {
			t.Errorf("%d nodes left", len(left))
		}
	})
}
