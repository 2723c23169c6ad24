package vmdk

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Keys of the descriptor.
const (
	keyCID       = "CID"
	keyParentCID = "parentCID"
	keyParent    = "parentFileNameHint"
	keyType      = "createType"
	noParentCID  = 0xffffffff
)

// quotedValue is the value of a key in a descriptor: key="value".
func quotedValue(desc, key string) (string, bool) {
	_, rest, ok := strings.Cut(desc, key)
	if !ok || len(rest) < 2 {
		return "", false
	}
	return cutQuote(rest[2:])
}

func cutQuote(s string) (string, bool) { v, _, ok := strings.Cut(s, `"`); return v, ok }

// text is the part of a buffer before the first zero byte.
func text(b []byte) string { s, _, _ := bytes.Cut(b, []byte{0}); return string(s) }

// hexValue is the number of a key in a descriptor: key=number.
func hexValue(desc, key string) (uint32, bool) {
	_, rest, ok := strings.Cut(desc, key)
	if !ok || rest == "" {
		return 0, false
	}
	var v uint32
	if n, _ := fmt.Sscanf(rest[1:], "%x", &v); n != 1 {
		return 0, false
	}
	return v, true
}

// readText reads the text at off, at most n bytes.
func readText(ctx context.Context, file *block.Child, off, n int64) (string, error) {
	b := make([]byte, n)
	if err := file.Read(ctx, off, b); err != nil {
		return "", err
	}
	return text(b), nil
}

// readStart reads the beginning of a file, which is a descriptor or the header of an extent.
func readStart(ctx context.Context, file *block.Child, off int64) (string, error) {
	n, err := file.Length(ctx)
	switch {
	case err != nil:
		return "", block.Errnof(block.Errno(err), "Could not access file")
	case n < 4:
		return "", block.Errorf(unix.EINVAL, "File is too small, not a valid image")
	}
	b := make([]byte, min(n, maxDescriptor))
	if err := file.Read(ctx, off, b); err != nil {
		return "", block.Errnof(block.Errno(err), "Could not read from file")
	}
	return string(b), nil
}

// readCID is the number by which the children of an image know whether it is still the same.
func readCID(ctx context.Context, file *block.Child, off int64, key string) (uint32, error) {
	desc, err := readText(ctx, file, off, embeddedLen-1)
	if err != nil {
		return 0, err
	}
	if cid, ok := hexValue(desc, key); ok {
		return cid, nil
	}
	return 0, unix.EINVAL
}

// renewCID puts another number into the descriptor, once after opening: what builds on the old content is stale now.
// Preconditions: mu is held.
func (im *image) renewCID(ctx context.Context, cid uint32) error {
	n := int64(embeddedLen)
	if im.descAt == 0 {
		var err error
		if n, err = im.file.Length(ctx); err != nil {
			return err
		}
		if n > maxDescFile {
			im.node.Graph().Failure("VMDK description file too big")
			return unix.EFBIG
		}
	}
	desc, err := readText(ctx, im.file, im.descAt, n)
	if err != nil {
		return err
	}
	i, j := strings.Index(desc, keyCID), strings.Index(desc, keyParentCID)
	if i < 0 || j < i {
		return unix.EINVAL
	}
	b := fmt.Appendf([]byte(desc[:i]), "%s=%x\n%s", keyCID, cid, desc[j:])
	if im.descAt != 0 {
		b = append(b, make([]byte, max(0, int(n)-len(b)))...)[:n]
	}
	if err := im.file.Write(ctx, im.descAt, b, 0); err != nil {
		return err
	}
	if int64(len(b)) < n {
		if err := im.file.Truncate(ctx, int64(len(b)), false, block.PreallocOff, false); err != nil {
			return err
		}
	}
	return im.file.Flush(ctx)
}

// Types of extents in a descriptor.
const (
	extentFlat       = "FLAT"
	extentVMFS       = "VMFS"
	extentSparse     = "SPARSE"
	extentVMFSSparse = "VMFSSPARSE"
	extentSESparse   = "SESPARSE"
)

// extentLine is one line of a descriptor that names an extent.
type extentLine struct {
	sectors int64
	kind    string
	file    string
	offset  int64 // bytes in the file, of a plain extent
}

var extentPattern = regexp.MustCompile(`^\s*(\S{1,10})\s+([-+]?\d+)\s+(\S{1,10})\s+"([^\r\n"]{1,511})"(?:\s+([-+]?\d+))?`)

// parseExtents finds the extents in a descriptor; an error is QEMU's.
func parseExtents(desc string) (list []extentLine, err error) {
	for line := range strings.Lines(desc) {
		m := extentPattern.FindStringSubmatch(line)
		if m == nil || m[1] != "RW" {
			continue
		}
		e := extentLine{kind: m[3], file: m[4]}
		e.sectors, _ = strconv.ParseInt(m[2], 10, 64)
		placed := m[5] != ""
		if placed {
			sectors, err := strconv.ParseInt(m[5], 10, 64)
			if placed = err == nil && sectors >= 0 && sectors <= maxSectors; placed {
				e.offset = sectors * sectorSize
			}
		}
		if placed != (e.kind == extentFlat) || m[5] != "" && !placed {
			return nil, block.Errorf(unix.EINVAL, "Invalid extent line: %s", strings.TrimSuffix(line, "\n"))
		}
		switch e.kind {
		case extentFlat, extentVMFS, extentSparse, extentVMFSSparse, extentSESparse:
			if e.sectors > 0 {
				list = append(list, e)
			}
		}
	}
	return list, nil
}

// description is what a new descriptor says.
type description struct {
	cid, parentCID          uint32
	kind, parent            string
	extents                 []extentLine
	hwVersion, toolsVersion string
	cylinders, heads        int64
	adapter                 string
}

// String is the descriptor, with the lines in the order and form that VMware's programs expect.
func (d *description) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Disk DescriptorFile\nversion=1\n%s=%x\n%s=%x\n%s=\"%s\"\n", keyCID, d.cid, keyParentCID, d.parentCID, keyType, d.kind)
	if d.parent != "" {
		fmt.Fprintf(&b, "%s=\"%s\"", keyParent, d.parent)
	}
	b.WriteString("\n# Extent description\n")
	for _, e := range d.extents {
		fmt.Fprintf(&b, "RW %d %s \"%s\"", e.sectors, e.kind, e.file)
		if e.kind == extentFlat {
			fmt.Fprintf(&b, " %d", e.offset/sectorSize)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n# The Disk Data Base\n#DDB\n\n")
	for _, v := range []struct {
		name  string
		value any
	}{
		{"virtualHWVersion", d.hwVersion}, {"geometry.cylinders", d.cylinders}, {"geometry.heads", d.heads}, {"geometry.sectors", sectorsPerTrack},
		{"adapterType", d.adapter}, {"toolsVersion", d.toolsVersion},
	} {
		fmt.Fprintf(&b, "ddb.%s = \"%v\"\n", v.name, v.value)
	}
	return b.String()
}
