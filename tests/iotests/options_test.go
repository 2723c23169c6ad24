package iotests

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/internal/testprog"
)

// creations are the options of each format, with all kinds of values. Those with a snapshot, an amendment or a larger size take them, too.
var creations = []struct {
	format  string
	options []string
	after   []string // commands on the image IMG
}{
	{"qcow2", []string{
		"", "compat=0.10", "compat=v2", "compat=v3", "cluster_size=512", "cluster_size=2M", "refcount_bits=1",
		"refcount_bits=8", "refcount_bits=64", "lazy_refcounts=on", "extended_l2=on,cluster_size=128k", "compression_type=zstd",
		"preallocation=metadata", "preallocation=full", "preallocation=falloc,extended_l2=on", "data_file=DATA", "data_file=DATA,data_file_raw=on",
		"extended_l2=on,lazy_refcounts=on,compression_type=zstd,refcount_bits=64", "backing_file=BASE,backing_fmt=raw",
		"backing_file=BASE,backing_fmt=raw,extended_l2=on", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10",
		"encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10,encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256,encrypt.hash-alg=sha1",
	}, []string{"qemu-img resize IMG 6M", "qemu-img snapshot -c one IMG", "qemu-io -c 'write -P 9 1M 70k' IMG", "qemu-img snapshot -a one IMG", "qemu-img snapshot -c two IMG",
		"qemu-img snapshot -d one IMG", "qemu-img amend -o compat=1.1,lazy_refcounts=on IMG", "qemu-img snapshot -d two IMG", "qemu-img resize --shrink IMG 4M",
		"qemu-img amend -o lazy_refcounts=off IMG", "qemu-io -c 'write -z 2M 200k' -c 'discard 3M 128k' IMG"}},
	{"raw", []string{"", "preallocation=off", "preallocation=falloc", "preallocation=full", "extent_size_hint=1M"}, []string{"qemu-img resize IMG 6M", "qemu-img resize --shrink IMG 4M"}},
	{"luks", []string{"key-secret=s,iter-time=10", "key-secret=s,iter-time=10,cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=sha512"},
		[]string{"qemu-img resize IMG 6M"}},
	{"qed", []string{"", "cluster_size=4k", "cluster_size=1M,table_size=2", "table_size=16", "backing_file=BASE,backing_fmt=raw"},
		[]string{"qemu-img resize IMG 6M", "qemu-io -c 'write -z 5M 1M' IMG"}},
	{"vdi", []string{"", "static=on", "static=off"}, nil},
	{"qcow", []string{"", "backing_file=BASE,backing_fmt=raw", "encrypt.format=aes,encrypt.key-secret=s"}, nil},
	{"parallels", []string{"", "cluster_size=64k"}, nil},
	{"vpc", []string{"", "subformat=dynamic", "subformat=fixed", "force_size=on", "subformat=fixed,force_size=on"}, nil},
	{"vmdk", []string{"", "subformat=monolithicSparse", "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse", "subformat=twoGbMaxExtentFlat", "adapter_type=lsilogic",
		"adapter_type=buslogic", "adapter_type=legacyESX", "compat6=on", "hwversion=7", "toolsversion=10", "zeroed_grain=on"}, nil},
	{"vhdx", []string{"", "subformat=dynamic", "subformat=fixed", "log_size=2M", "block_size=1M", "block_size=16M", "block_state_zero=off", "subformat=fixed,block_state_zero=off"}, nil},
}

// TestOptions makes an image with each option by one side's tools, and lets the other side read, write, resize, amend and snapshot it: QEMU must find the
// image sound, and the content as it should be.
func TestOptions(t *testing.T) {
	oracle := testprog.Need(t, "qemu-img")
	bins := []struct{ name, dir string }{{"goemu", build(t)}, {"QEMU", filepath.Dir(oracle)}}
	for _, c := range creations {
		for i, maker := range bins {
			t.Run(c.format+" made by "+maker.name, func(t *testing.T) {
				t.Parallel()
				for _, o := range c.options {
					dir := t.TempDir()
					after := c.after
					if maker.name == "goemu" { // what QEMU does with its own formats needs no test
						after = nil
					}
					exchange(t, side{maker.dir, dir}, side{bins[1-i].dir, dir}, side{bins[1].dir, dir}, c.format, o, after)
				}
			})
		}
	}
}

// exchange makes an image on one side, and works with it on the other one; judge is QEMU.
func exchange(t *testing.T, maker, user, judge side, format, options string, after []string) {
	t.Helper()
	const size = 4 << 20
	img := "a." + format
	secret, source, tool := "", img, "-f "+format+" "+img
	if strings.Contains(options, "key-secret=s") {
		secret = "--object secret,id=s,data=password "
		key := "key-secret=s"
		if format == "qcow2" || format == "qcow" {
			key = "encrypt.key-secret=s"
		}
		source = fmt.Sprintf("driver=%s,file.filename=%s,%s", format, img, key)
		tool = "--image-opts " + source
	}
	do := func(s side, line string) string {
		t.Helper()
		name, rest, _ := strings.Cut(line, " ")
		if name == "qemu-img" {
			command, args, _ := strings.Cut(rest, " ")
			line = name + " " + command + " " + secret + args
		} else {
			line = name + " " + secret + rest
		}
		out, status := s.run(t, line)
		for range 20 { // QEMU cannot measure its key derivation on a busy host
			if status == 0 || !strings.Contains(out, "Unable to get accurate CPU usage") {
				break
			}
			out, status = s.run(t, line)
		}
		require.Zero(t, status, "%s: %s (%s): %s", format, options, line, out)
		return out
	}
	sound := func() {
		t.Helper()
		if format != "raw" && format != "luks" && format != "vpc" && format != "qcow" {
			do(judge, "qemu-img check "+tool)
		}
		theirs, ours := do(judge, "qemu-img info "+tool), do(user, "qemu-img info "+tool)
		require.Equal(t, theirs, ours)
	}
	options = strings.NewReplacer("DATA", "data.raw", "BASE", "base.raw").Replace(options)
	if strings.Contains(options, "base.raw") {
		do(judge, "qemu-img create -q -f raw base.raw 4M")
		do(judge, "qemu-io -f raw -c 'write -P 7 0 4M' base.raw")
	}
	if options != "" {
		options = "-o " + options + " "
	}
	do(maker, fmt.Sprintf("qemu-img create -q -f %s %s%s %d", format, options, img, size))
	sound()
	do(maker, "qemu-io -c 'write -P 1 0 100k' -c 'write -P 2 1M 700k' "+tool)
	do(user, "qemu-io -c 'read -P 1 0 100k' -c 'read -P 2 1M 700k' -c 'write -P 3 50k 64k' -c 'write -P 4 3M 1M' -c 'write -z 1100k 100k' "+tool)
	sound()
	noSnapshots := strings.Contains(options, "data_file") || strings.Contains(options, "refcount_bits=1 ") // which both sides refuse
	for _, line := range after {
		if noSnapshots && (strings.Contains(line, "snapshot") || strings.Contains(line, "-P 9")) {
			continue
		}
		if strings.Contains(line, "snapshot") {
			line = strings.Replace(line, "IMG", strings.TrimPrefix(tool, "-f qcow2 "), 1)
		} else {
			line = strings.Replace(line, "IMG", tool, 1)
		}
		do(user, line)
	}
	sound()
	do(judge, "qemu-io -c 'read -P 1 0 50k' -c 'read -P 3 50k 64k' -c 'read -P 2 1M 50k' -c 'read -P 0 1100k 100k' -c 'read -P 4 3200k 64k' "+tool)
	do(user, "qemu-img convert -O raw "+convertSource(format, source)+" ours.raw")
	do(judge, "qemu-img convert -O raw "+convertSource(format, source)+" theirs.raw")
	do(judge, "qemu-img compare -f raw -F raw ours.raw theirs.raw")
}

// convertSource names an image as the source of convert.
func convertSource(format, source string) string {
	if strings.HasPrefix(source, "driver=") {
		return "--image-opts " + source
	}
	return "-f " + format + " " + source
}
