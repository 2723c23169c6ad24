// Package guest gets what tests, benchmarks and the demo boot: Debian's kernels and busybox from its packages, an initramfs made
// here. Everything is kept in a cache folder.
package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Kernel is an unpacked kernel package.
type Kernel struct {
	Image   string // vmlinuz
	Version string
	Modules string // folder of its modules
}

// CacheDir is the cache folder: $GOEMU_CACHE, or .cache at the top of the checkout.
func CacheDir() (string, error) {
	if d := os.Getenv("GOEMU_CACHE"); d != "" {
		return d, os.MkdirAll(d, 0o755)
	}
	d, err := os.Getwd()
	for err == nil {
		if _, e := os.Stat(filepath.Join(d, "go.mod")); e == nil {
			c := filepath.Join(d, ".cache")
			return c, os.MkdirAll(c, 0o755)
		}
		if d == filepath.Dir(d) {
			err = errors.New("no go.mod above the working folder; set GOEMU_CACHE")
		}
		d = filepath.Dir(d)
	}
	return "", err
}

// GetKernel fetches Debian's kernel of a flavour ("cloud-amd64" or "amd64") unless the cache has it.
func GetKernel(flavour string) (*Kernel, error) {
	dir, err := getPackage("linux-image-"+flavour, func(meta string) (string, error) {
		out, err := run("", "apt-cache", "depends", "--important", meta)
		if err != nil {
			return "", err
		}
		for f := range strings.FieldsSeq(out) {
			if strings.HasPrefix(f, "linux-image-") && f != meta {
				return f, nil
			}
		}
		return "", fmt.Errorf("package %s names no kernel", meta)
	})
	if err != nil {
		return nil, err
	}
	images, _ := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if len(images) != 1 {
		return nil, fmt.Errorf("%s: %d kernels in the package, want 1", dir, len(images))
	}
	v := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	return &Kernel{Image: images[0], Version: v, Modules: filepath.Join(dir, "lib", "modules", v)}, nil
}

// GetBusybox fetches Debian's static busybox unless the cache has it.
func GetBusybox() (string, error) {
	dir, err := getPackage("busybox-static", nil)
	if err != nil {
		return "", err
	}
	for _, p := range []string{"bin/busybox", "usr/bin/busybox"} {
		if f := filepath.Join(dir, p); exists(f) {
			return f, nil
		}
	}
	return "", fmt.Errorf("%s: no busybox in the package", dir)
}

// getPackage downloads and unpacks a Debian package into the cache and returns the folder; resolve, if given, maps the name to the
// package really wanted.
func getPackage(name string, resolve func(string) (string, error)) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, name)
	if exists(dir) {
		return dir, nil
	}
	pkg := name
	if resolve != nil {
		if pkg, err = resolve(name); err != nil {
			return "", err
		}
	}
	tmp, err := os.MkdirTemp(cache, "get-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if _, err := run(tmp, "apt-get", "download", pkg); err != nil {
		return "", fmt.Errorf("fetching %s: %w", pkg, err)
	}
	debs, _ := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d packages", pkg, len(debs))
	}
	if _, err := run(tmp, "dpkg-deb", "-x", debs[0], "x"); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(tmp, "x"), dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}

// run runs a command in dir and returns what it printed; an error has its diagnostics.
func run(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(ee.Stderr)))
	}
	return string(out), err
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}
