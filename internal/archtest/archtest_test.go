package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// eachFile calls f for every Go file of the module that is not a test.
func eachFile(t *testing.T, f func(pkg, file string, imports []string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != "..") || d.Name() == "testdata" {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		ast, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, i := range ast.Imports {
			imports = append(imports, strings.Trim(i.Path.Value, `"`))
		}
		rel, err := filepath.Rel(root, p)
		f(filepath.ToSlash(filepath.Dir(rel)), filepath.Base(p), imports)
		return err
	})
	require.NoError(t, err)
}

// layer finds a package's layer and the tree it belongs to, which is empty if no layer is named for it.
func layer(pkg string) (tree string, n int) {
	for t, l := range layers {
		if (pkg == t || strings.HasPrefix(pkg, t+"/")) && len(t) > len(tree) {
			tree, n = t, l
		}
	}
	return tree, n
}

func TestLayers(t *testing.T) {
	eachFile(t, func(pkg, file string, imports []string) {
		tree, from := layer(pkg)
		if tree == "" {
			t.Errorf("%s: no layer is named for this package in layers.go", pkg)
			return
		}
		for _, i := range imports {
			to, ok := strings.CutPrefix(i, module)
			if !ok {
				continue
			}
			_, l := layer(to)
			if related := strings.HasPrefix(to, pkg+"/") || strings.HasPrefix(pkg, to+"/"); !related && l >= from && !strings.HasPrefix(pkg, "tests") {
				t.Errorf("%s/%s (layer %d) imports %s (layer %d)", pkg, file, from, to, l)
			}
		}
	})
}

// TestDevicesStayApart: a device imports no accelerator implementation, monitor or command line.
func TestDevicesStayApart(t *testing.T) {
	eachFile(t, func(pkg, file string, imports []string) {
		for _, i := range imports {
			switch {
			case strings.HasPrefix(pkg, "hw/") && (strings.HasPrefix(i, module+"accel/") || strings.HasPrefix(i, module+"tcg") || strings.HasPrefix(i, module+"internal/cli")),
				strings.HasPrefix(pkg, "tcg/frontend") && strings.HasPrefix(i, module+"tcg/backend"),
				strings.HasPrefix(pkg, "tcg/backend") && (strings.HasPrefix(i, module+"tcg/frontend") || strings.HasPrefix(i, module+"target")),
				pkg == "tcg/ir" && strings.HasPrefix(i, module):
				t.Errorf("%s/%s imports %s", pkg, file, i)
			}
		}
	})
}

// TestUnsafeIsFenced: unsafe appears only in files whose names say so.
func TestUnsafeIsFenced(t *testing.T) {
	eachFile(t, func(pkg, file string, imports []string) {
		for _, i := range imports {
			if i == "unsafe" && !strings.HasSuffix(file, "_unsafe.go") && !strings.HasSuffix(file, "_amd64.go") && !strings.HasSuffix(file, "_arm64.go") && !strings.HasSuffix(file, "_other.go") && !mayUseUnsafe[pkg] {
				t.Errorf("%s/%s imports unsafe: move that part to a file named *_unsafe.go", pkg, file)
			}
		}
	})
}

// TestNoInit: nothing registers itself; lists are written where they are used.
func TestNoInit(t *testing.T) {
	eachFile(t, func(pkg, file string, _ []string) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, pkg, file), nil, 0)
		require.NoError(t, err)
		if obj := f.Scope.Lookup("init"); obj != nil {
			t.Errorf("%s/%s has an init function", pkg, file)
		}
	})
}
