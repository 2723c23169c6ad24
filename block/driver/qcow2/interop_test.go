package qcow2_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
)

// TestReadsQemuImages reads images that QEMU's tools made, for each option.
func TestReadsQemuImages(t *testing.T) {
	for _, v := range variants {
		t.Run(title(v), func(t *testing.T) {
			dir := plainDir(t)
			name := filepath.Join(dir, "t.qcow2")
			args := []string{"create", "-q", "-f", "qcow2"}
			if v != "" {
				args = append(args, "-o", variant(v, dir))
			}
			mustQemu(t, "qemu-img", append(args, name, "4M")...)
			want := make([]byte, 4<<20)
			fill := func(off, n int, b byte) {
				for i := range n {
					want[off+i] = b
				}
			}
			if !strings.Contains(v, "data_file") && !strings.Contains(v, "prealloc") { // neither takes compressed data
				mustQemu(t, "qemu-io", "-c", "write -c -P 4 2M 2M", name)
				fill(2<<20, 2<<20, 4)
			}
			mustQemu(t, "qemu-io", "-c", "write -P 1 0 64k", "-c", "write -P 2 100k 1M", "-c", "write -z 200k 64k", "-c", "write -P 3 4095k 1k", name)
			fill(0, 64<<10, 1)
			fill(100<<10, 1<<20, 2)
			fill(200<<10, 64<<10, 0)
			fill(4095<<10, 1<<10, 3)
			d := openImage(t, name, "", block.Mode{})
			got := d.read(0, 4<<20)
			for i := 0; i < len(got); i += 512 {
				require.Equal(t, want[i:i+512], got[i:i+512], "at %d", i)
			}
			d.write(1<<20, pattern(70000/512*512, 5))
			d.close()
			checkImage(t, name)
		})
	}
}

// setHeader changes bytes of an image.
func setHeader(t *testing.T, name string, off int64, b []byte) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(b, off)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// TestHeaderErrors compares what is said about broken headers with what QEMU says.
func TestHeaderErrors(t *testing.T) {
	u32 := func(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
	u64 := func(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
	for _, c := range []struct {
		off int64
		b   []byte
	}{
		{0, u32(0)}, {4, u32(1)}, {4, u32(4)}, {8, u64(70000)}, {20, u32(8)}, {20, u32(22)}, {24, u64(1 << 62)}, {36, u32(0)}, {36, u32(1 << 30)}, {40, u64(1234)},
		{48, u64(0x10100)}, {56, u32(0)}, {56, u32(0x7fffffff)}, {60, u32(70000)}, {64, u64(77)}, {72, u64(1 << 40)}, {72, u64(3 << 60)}, {72, u64(8)}, {72, u64(16)}, {96, u32(7)},
		{100, u32(50)}, {100, u32(1 << 20)}, {104, []byte{1}}, {104, []byte{9}}, {112, u32(0x1234)}, {116, u32(1 << 20)}, {88, u64(2)}, {16, u32(2000)},
	} {
		t.Run(fmt.Sprintf("%d=%x", c.off, c.b), func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "t.qcow2")
			makeImage(t, name, 1<<20, "")
			setHeader(t, name, c.off, c.b)
			if c.off == 16 {
				setHeader(t, name, 8, u64(1000))
			}
			out, qerr := qemu(t, "qemu-io", "-r", "-f", "qcow2", "-c", "quit", name)
			d, err := tryOpen(t, name, "", block.Mode{ReadOnly: true})
			if err == nil {
				d.close()
				require.NotContains(t, out, "can't open", "%v", qerr)
				return
			}
			out = strings.TrimPrefix(strings.Split(out, "\n")[0], "qemu-io: can't open device "+name+": ")
			require.Equal(t, out, err.Error())
		})
	}
}

// TestFeatureNames: an unknown incompatible feature is named by the image's own table, an unknown compatible one survives a rewrite.
func TestFeatureNames(t *testing.T) {
	name := filepath.Join(t.TempDir(), "t.qcow2")
	makeImage(t, name, 1<<20, "")
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	i := int64(bytes.Index(b, []byte("lazy refcounts"))) - 2
	require.Positive(t, i)
	setHeader(t, name, 80, binary.BigEndian.AppendUint64(nil, 1<<50))
	d := openImage(t, name, "", block.Mode{})
	require.NoError(t, d.n.State().(block.BackingChanger).ChangeBacking(ctx, "base", "raw"))
	d.close()
	b, err = os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, uint64(1<<50), binary.BigEndian.Uint64(b[80:]))

	i = int64(bytes.Index(b, []byte("lazy refcounts"))) - 2
	setHeader(t, name, i, append([]byte{0, 60}, "test feature\x00"...))
	setHeader(t, name, 72, binary.BigEndian.AppendUint64(nil, 1<<60|1<<61))
	_, err = tryOpen(t, name, "", block.Mode{NoBacking: true})
	require.EqualError(t, err, "Unsupported qcow2 feature(s): test feature, Unknown incompatible feature: 2000000000000000")
}

// damage lists ways to break an image of 64 KiB clusters with data in the first 1 MiB: the header is cluster 0, the refcount table 1, its
// block 2, the L1 table 3, the L2 table 4.
var damage = []struct {
	name string
	off  int64
	b    []byte
}{
	{"leak", 2*65536 + 2*100, []byte{0, 1}},
	{"refcount too low", 2*65536 + 2*6, []byte{0, 0}},
	{"refcount too high", 2*65536 + 2*6, []byte{0, 2}},
	{"no refcount table entry", 65536, make([]byte, 8)},
	{"reserved bits in the refcount table", 65536 + 7, []byte{1}},
	{"unaligned refcount block", 65536 + 6, []byte{2}},
	{"refcount block outside", 65536 + 4, []byte{0x10, 0}},
	{"copied flag missing in L1", 3 * 65536, []byte{0}},
	{"copied flag missing in L2", 4 * 65536, []byte{0}},
	{"reserved bits in L2", 4*65536 + 7, []byte{2}},
	{"reserved bits in L1", 3*65536 + 7, []byte{1}},
	{"unaligned data cluster", 4*65536 + 6, []byte{2}},
	{"cluster used twice", 4*65536 + 8, binary.BigEndian.AppendUint64(nil, 1<<63|5*65536)},
	{"data behind the end", 4*65536 + 16, binary.BigEndian.AppendUint64(nil, 1<<63|1<<40)},
	{"unaligned zero cluster", 4*65536 + 24, binary.BigEndian.AppendUint64(nil, 1<<63|5*65536+0x200|1)},
	{"snapshots outside", 60, append(binary.BigEndian.AppendUint32(nil, 1), binary.BigEndian.AppendUint64(nil, 1<<30)...)},
	{"too many snapshots of version 2", 60, binary.BigEndian.AppendUint32(nil, 70000)},
}

// findings are the different lines of a check's output. QEMU names its tool in some.
func findings(s string) map[string]bool {
	lines := map[string]bool{}
	for line := range strings.SplitSeq(s, "\n") {
		lines[strings.TrimPrefix(line, "qemu-img: ")] = true
	}
	return lines
}

var findingLine = regexp.MustCompile(`^(ERROR|Repairing|Leaked|Rebuilding|Discarding)`)

// TestCheckFindings compares findings, counters and repairs with QEMU's.
func TestCheckFindings(t *testing.T) {
	for _, c := range damage {
		for _, fix := range []string{"", "leaks", "all"} {
			t.Run(c.name+" "+fix, func(t *testing.T) {
				dir := t.TempDir()
				name, other := filepath.Join(dir, "t.qcow2"), filepath.Join(dir, "o.qcow2")
				o := ""
				if strings.HasSuffix(c.name, "version 2") { // whose snapshots are not reported one by one
					o = "compat=0.10"
				}
				makeImage(t, name, 4<<20, o)
				d := openImage(t, name, "", block.Mode{})
				d.write(0, pattern(1<<20, 1))
				d.close()
				setHeader(t, name, c.off, c.b)
				b, err := os.ReadFile(name)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(other, b, 0o644))

				args := []string{"check", "-f", "qcow2"}
				mode, kinds := block.Mode{Check: true, ReadOnly: true}, block.CheckFix(0)
				if fix != "" {
					args = append(args, "-r", fix)
					mode.ReadOnly = false
					kinds = block.FixLeaks
					if fix == "all" {
						kinds |= block.FixErrors
					}
				}
				out, qerr := qemu(t, "qemu-img", append(args, other)...)
				d = openImage(t, name, "", mode)
				res, err := d.n.State().(block.Checker).Check(ctx, kinds)
				if err == nil && res.CorruptionsFixed+res.LeaksFixed > 0 { // looked at again, as the tool does
					res, err = d.n.State().(block.Checker).Check(ctx, 0)
				}
				d.close()
				theirs, ours := findings(out), findings(d.msg.String())
				for line := range ours {
					require.True(t, line == "" || theirs[line], "%s\nall of QEMU's: %.2000s", line, out)
				}
				for line := range theirs {
					require.True(t, !findingLine.MatchString(line) || ours[line], "%s\nall of ours: %.2000s", line, d.msg)
				}
				require.Equal(t, qerr == nil, err == nil && res.Corruptions == 0 && res.CheckErrors == 0 && res.Leaks == 0, "%v %+v\n%.2000s\nQEMU: %.2000s", err, res, d.msg, out)
				if fix == "all" && qerr == nil {
					checkImage(t, name)
				}
			})
		}
	}
}

// TestMarksCorrupt: a write that would hit metadata is refused and the image marked.
func TestMarksCorrupt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "t.qcow2")
	makeImage(t, name, 4<<20, "")
	d := openImage(t, name, "", block.Mode{})
	d.write(0, pattern(65536, 1))
	d.close()
	setHeader(t, name, 4*65536, binary.BigEndian.AppendUint64(nil, 1<<63|3*65536)) // the data cluster is the L1 table
	d = openImage(t, name, "", block.Mode{})
	require.EqualError(t, d.b.Write(ctx, 0, pattern(512, 2), 0), "input/output error")
	require.Equal(t, "qcow2: Marking image as corrupt: Preventing invalid write on metadata (overlaps with active L1 table); further corruption events will be suppressed\n", d.msg.String())
	require.EqualError(t, d.b.Read(ctx, 0, make([]byte, 512)), "no medium found")
	d.close()
	_, err := tryOpen(t, name, "", block.Mode{})
	require.EqualError(t, err, "qcow2: Image is corrupt; cannot be opened read/write")
	d = openImage(t, name, "", block.Mode{ReadOnly: true})
	d.read(0, 512)
	d.close()
}

// FuzzOpen opens, checks and reads hostile images.
func FuzzOpen(f *testing.F) {
	for _, v := range []string{"", "extended_l2=on,cluster_size=16k", "refcount_bits=1,cluster_size=512", "compat=0.10,cluster_size=1k"} {
		m := memImage(f, 256<<10, v)
		d, err := openMem(f, m, "", block.Mode{})
		require.NoError(f, err)
		d.write(0, pattern(9000/512*512, 3))
		if v == "" {
			s := block.Snapshot{Name: "snap"}
			require.NoError(f, d.n.State().(block.Snapshotter).SnapshotCreate(ctx, &s))
		}
		d.close()
		f.Add(m.b, uint8(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, kind uint8) {
		m := &memDisk{b: bytes.Clone(b), limit: 64 << 20}
		d, err := openMem(t, m, "", block.Mode{ReadOnly: kind&1 != 0, Check: kind&2 != 0, NoBacking: true})
		if err != nil {
			return
		}
		defer d.close()
		buf := make([]byte, 4096)
		length, _ := d.b.Length(ctx)
		for _, off := range []int64{0, 65536, length / 2 &^ 511} {
			if off+4096 <= length {
				d.b.Read(ctx, off, buf)
				if kind&5 == 4 {
					d.b.Write(ctx, off, buf, 0)
					d.b.Discard(ctx, off, 4096)
				}
			}
		}
		if c := d.n.State().(block.Checker); kind&2 != 0 {
			c.Check(ctx, block.CheckFix(kind>>4&3))
		}
		if s := d.n.State().(block.Snapshotter); kind&8 != 0 {
			s.SnapshotCreate(ctx, &block.Snapshot{Name: "x"})
			s.SnapshotGoto(ctx, "1")
			s.SnapshotDelete(ctx, "1", "")
		}
	})
}

// TestSnapshotTableSize counts the entries of a snapshot table as they are stored: names and identifiers of zeroes only, one entry too many.
func TestSnapshotTableSize(t *testing.T) {
	const at, entry, count = 1 << 20, 40 + 1024 + 2*65535 + 2, 508
	name := filepath.Join(t.TempDir(), "t.qcow2")
	makeImage(t, name, 1<<20, "")
	head := make([]byte, 40)
	binary.BigEndian.PutUint16(head[12:], 65535)
	binary.BigEndian.PutUint16(head[14:], 65535)
	binary.BigEndian.PutUint32(head[36:], 1024)
	for i := range int64(count) {
		setHeader(t, name, at+i*entry, head)
	}
	setHeader(t, name, at+count*entry-1, []byte{0})
	setHeader(t, name, 60, binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, count), at))
	_, err := tryOpen(t, name, "", block.Mode{ReadOnly: true})
	require.EqualError(t, err, "Snapshot table is too big")
	setHeader(t, name, 60, binary.BigEndian.AppendUint32(nil, count-1))
	d, err := tryOpen(t, name, "", block.Mode{ReadOnly: true})
	require.NoError(t, err)
	d.close()
}
