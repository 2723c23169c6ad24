// qapigen makes package qapi's generated files and the reference documentation from the schema in qapi/schema. With -check it writes
// nothing and fails if a file is not what it would write. It runs in the repository, wherever.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// moduleOrder is the order in which QEMU reads its modules. The numbers that stand for types in query-qmp-schema follow from it.
var moduleOrder = []string{"error", "common", "sockets", "run-state", "crypto", "job", "block-core", "block", "block-export", "char", "dump", "net", "rdma",
	"rocker", "tpm", "ui", "authz", "migration", "transaction", "trace", "compat", "control", "introspect", "qom", "qdev", "machine",
	"machine-target", "replay", "yank", "misc", "misc-target", "audio", "acpi", "pci", "stats", "virtio"}

func main() {
	check := flag.Bool("check", false, "compare instead of writing")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(check bool) error {
	root, err := repository()
	if err != nil {
		return err
	}
	files, err := generate(filepath.Join(root, "qapi", "schema"))
	if err != nil {
		return err
	}
	stale, err := leftOver(root, files)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(root, name)
		old, err := os.ReadFile(path)
		if err == nil && bytes.Equal(old, files[name]) {
			continue
		}
		if check {
			stale = append(stale, name)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return err
		}
	}
	if check && len(stale) > 0 {
		return fmt.Errorf("not as generated from qapi/schema (run make generate): %s", strings.Join(stale, " "))
	}
	for _, name := range stale {
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return nil
}

// repository finds the directory of go.mod above the current one.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("not in a Go module")
		}
		dir = up
	}
}

// generate returns all files by name, from the directory of schemas.
func generate(dir string) (map[string][]byte, error) {
	s, err := readSchema(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, m := range s.modules {
		if files["qapi/"+strings.ReplaceAll(m.name, "-", "_")+"_gen.go"], err = s.goFile(m); err != nil {
			return nil, err
		}
		files["docs/qmp/"+m.name+".md"] = s.docFile(m)
	}
	files["qapi/modules_gen.go"] = s.modulesFile()
	return files, nil
}

// leftOver lists generated files of modules that are gone.
func leftOver(root string, files map[string][]byte) (stale []string, err error) {
	for _, pattern := range []string{"qapi/*_gen.go", "docs/qmp/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			if _, ok := files[filepath.ToSlash(name)]; !ok {
				stale = append(stale, name)
			}
		}
	}
	return stale, nil
}
