// Mkguest fetches a Debian kernel and makes an initramfs for it, and prints the paths of both.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"goemu/tests/guest"
)

func main() {
	flavour := flag.String("flavour", "cloud-amd64", "kernel flavour: cloud-amd64 or amd64")
	out := flag.String("o", "", "file for the initramfs (default: in the cache)")
	flag.Parse()
	if err := mk(*flavour, *out); err != nil {
		fmt.Fprintln(os.Stderr, "mkguest:", err)
		os.Exit(1)
	}
}

func mk(flavour, out string) error {
	k, err := guest.GetKernel(flavour)
	if err != nil {
		return err
	}
	bb, err := guest.GetBusybox()
	if err != nil {
		return err
	}
	if out == "" {
		dir, err := guest.CacheDir()
		if err != nil {
			return err
		}
		out = filepath.Join(dir, "initrd-"+flavour+".gz")
	}
	spec := guest.Spec{Busybox: bb, Kernel: k, Modules: guest.DefaultModules}
	if err := guest.WriteInitramfs(out, spec); err != nil {
		return err
	}
	fmt.Println(k.Image, out)
	return nil
}
