package parallels_test

import (
	"crypto/md5"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"goemu/block"
	"goemu/block/driver/formattest"
)

const format = formattest.Format("parallels")

// TestModel writes and reads at random, closing the image now and then, and compares with a plain array.
func TestModel(t *testing.T) {
	const size = 9<<20 + 3*512
	for _, cluster := range []string{"1M", "3584"} {
		t.Run("cluster_size="+cluster, func(t *testing.T) {
			format.Model(t, size, 3000, "cluster_size", cluster)
		})
	}
}

// TestParallel lets many write to the same blocks at once, each to sectors of its own.
func TestParallel(t *testing.T) {
	const size = 8 << 20
	format.Parallel(t, size, 4096)
}

// FuzzOpen opens images with broken headers and maps, reads and writes.
func FuzzOpen(f *testing.F) {
	name := filepath.Join(f.TempDir(), "seed")
	format.Create(f, name, 64<<10, "cluster_size", "512")
	seed, err := os.ReadFile(name)
	require.NoError(f, err)
	f.Add(seed, uint16(36), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(seed, uint16(28), []byte{0xff, 0xff, 0x3f, 0, 0xff, 0xff, 0xff, 0x1f})
	f.Add(seed, uint16(64), []byte{0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0})
	format.FuzzChanged(f, 1024, block.Mode{}, nil, formattest.Check)
}

// Of an image with a Format Extension that has one bitmap: its clusters, and positions in the extension.
const (
	cluster               = 512
	clusterExt, clusterBM = 2, 3
	diskSectors           = 3*8*cluster + 5 // with a bit for each, the table has 4 entries

	extFeature = 24
	extBitmap  = extFeature + 24
	extTable   = extBitmap + 32
	extEnd     = extTable + 4*8
)

// sum puts the checksum of the extension right.
func sum(image []byte) {
	x := image[clusterExt*cluster:][:cluster]
	s := md5.Sum(x[extFeature:])
	copy(x[8:], s[:])
}

// withExtension is an image whose bitmap has all, none and some of the bits, and 5 behind those.
func withExtension(t testing.TB) []byte {
	le := binary.LittleEndian
	name := filepath.Join(t.TempDir(), "seed")
	format.Create(t, name, diskSectors*512, "cluster_size", "512")
	head, err := os.ReadFile(name)
	require.NoError(t, err)
	// The table of the disk does not end in the first cluster: an image that starts with fewer entries has room behind them.
	image := make([]byte, 5*cluster)
	copy(image, head[:64])
	le.PutUint32(image[32:], 4)
	le.PutUint64(image[56:], clusterExt)
	x := image[clusterExt*cluster:]
	le.PutUint64(x, 0xab234cef23dcea87)
	le.PutUint64(x[extFeature:], 0x20385fae252cb34a)
	le.PutUint32(x[extFeature+16:], extEnd-extBitmap)
	le.PutUint64(x[extBitmap:], diskSectors)
	for i := range 16 {
		x[extBitmap+8+i] = byte(i + 1)
	}
	le.PutUint32(x[extBitmap+24:], 1)
	le.PutUint32(x[extBitmap+28:], 4)
	for i, e := range []uint64{1, 0, clusterBM, 1} {
		le.PutUint64(x[extTable+8*i:], e)
	}
	copy(image[clusterBM*cluster:], "\x81\x00\xff")
	sum(image)
	return image
}

// TestBitmap reads the bitmap of a Format Extension.
func TestBitmap(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	require.NoError(t, os.WriteFile(name, withExtension(t), 0o600))
	b, closed, err := format.Open(t, name, block.Mode{ReadOnly: true})
	require.NoError(t, err)
	defer closed()
	bm := b.Node().FindBitmap("01020304-0506-0708-090a-0b0c0d0e0f10")
	require.NotNil(t, bm)
	require.True(t, bm.State().ReadOnly)
	var runs [][2]int64 // sectors
	const size = diskSectors * 512
	for off := int64(0); off < size; {
		at, n, ok := bm.NextDirtyArea(off, size, size)
		if !ok {
			break
		}
		runs = append(runs, [2]int64{at / 512, n / 512})
		off = at + n
	}
	const part = 8 * cluster // sectors whose bits fill a cluster
	require.Equal(t, [][2]int64{{0, part}, {2 * part, 1}, {2*part + 7, 1}, {2*part + 16, 8}, {3 * part, 5}}, runs)
}

// TestExtensionMistakes compares the errors about broken extensions with QEMU's.
func TestExtensionMistakes(t *testing.T) {
	for _, c := range []struct {
		name  string
		at    int // in the extension
		value string
		keep  bool // the checksum is not put right
	}{
		{"magic", 7, "\x00", false},
		{"checksum", 400, "\x01", true},
		{"flags", extFeature + 8, "\x01", false},
		{"section too long", extFeature + 16, "\xff\x01", false},
		{"section too short", extFeature + 16, "\x1f", false},
		{"table too long", extFeature + 16, "\x3f", false},
		{"unknown feature", extFeature, "\x00\x00", false},
		{"disk size", extBitmap, "\x00\x00", false},
		{"table size", extBitmap + 28, "\x03", false},
		{"data nowhere", extTable, "\xff\xff\xff\xff\xff\xff\x7f\x00", false},
		{"same name", extEnd, string(withExtension(t)[clusterExt*cluster+extFeature:][:extEnd-extFeature]), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			image := withExtension(t)
			copy(image[clusterExt*cluster+c.at:], c.value)
			if !c.keep {
				sum(image)
			}
			format.Refuses(t, image)
		})
	}
}

// FuzzExtension opens images with broken extensions whose checksum is right.
func FuzzExtension(f *testing.F) {
	image := withExtension(f)
	f.Add(image, uint16(clusterExt*cluster+extBitmap+24), []byte{0, 0, 0x20})
	f.Add(image, uint16(clusterExt*cluster+extTable), []byte{0, 0, 0x20, 0xff, 0xff, 0xff})
	f.Add(image, uint16(36), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	format.FuzzChanged(f, 5*cluster, block.Mode{ReadOnly: true}, sum, nil)
}
