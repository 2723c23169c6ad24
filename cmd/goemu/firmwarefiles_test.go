package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"goemu/hw/pc"
	"goemu/internal/config"
)

func TestFirmwareFiles(t *testing.T) {
	dir := t.TempDir()
	picture := make([]byte, 30)
	copy(picture, "BM")
	picture[bmpDepthAt] = 24
	jpeg := append([]byte{0xff, 0xd8}, make([]byte, 28)...)
	for name, data := range map[string][]byte{"a.bmp": picture, "b.jpg": jpeg, "gray.bmp": append([]byte("BM"), make([]byte, 28)...), "short": picture[:29], "x.rom": {0x55, 0xaa}} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	files := func(splash string, roms ...string) ([]pc.FWCfgItem, error) {
		vm := &config.VM{DataDirs: []string{dir}, BootOrder: config.BootOrder{Splash: splash}}
		for _, r := range roms {
			vm.OptionROMs = append(vm.OptionROMs, config.Source{Value: r, Origin: "-option-rom " + r})
		}
		return firmwareFiles(vm)
	}
	got, err := files("a.bmp", "x.rom", dir+"/x.rom")
	require.NoError(t, err)
	rom := pc.FWCfgItem{Name: "genroms/x.rom", Data: []byte{0x55, 0xaa}}
	assert.Equal(t, []pc.FWCfgItem{{Name: "bootsplash.bmp", Data: picture}, rom, rom}, got)
	got, err = files("b.jpg")
	require.NoError(t, err)
	assert.Equal(t, []pc.FWCfgItem{{Name: "bootsplash.jpg", Data: jpeg}}, got)
	for splash, want := range map[string]string{
		"gray.bmp": "splash file '" + dir + "/gray.bmp' format not recognized; must be JPEG or 24 bit BMP",
		"short":    "splash file '" + dir + "/short' format not recognized; must be JPEG or 24 bit BMP",
		"nothing":  "failed to find file 'nothing'",
	} {
		_, err := files(splash)
		assert.EqualError(t, err, want)
	}
	_, err = files("", "nothing")
	assert.EqualError(t, err, "-option-rom nothing: Could not open option rom 'nothing': No such file or directory")
}

// TestFirmwareOfMachines: the microvm has a BIOS of its own; what the user names comes first.
func TestFirmwareOfMachines(t *testing.T) {
	dir := t.TempDir()
	for name, b := range map[string]byte{"bios-256k.bin": 1, "bios-microvm.bin": 2, "mine": 3} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte{b}, 64<<10), 0o600))
	}
	types := map[string]*pc.Type{}
	for _, m := range pc.Types() {
		types[m.Name] = m
	}
	for _, c := range []struct {
		machine, named string
		want           byte
	}{{"pc-i440fx-7.2", "", 1}, {"pc-q35-7.2", "", 1}, {"microvm", "", 2}, {"microvm", "mine", 3}} {
		b, err := firmware(&config.VM{DataDirs: []string{dir}, Firmware: c.named}, types[c.machine])
		require.NoError(t, err)
		assert.Equal(t, c.want, b[0], "%s %s", c.machine, c.named)
	}
}

// TestKernelFirmware: with a kernel only an image that the user names is started, a BIOS with the ROM by which it starts kernels.
func TestKernelFirmware(t *testing.T) {
	dir := t.TempDir()
	bzImage := make([]byte, 8<<10)
	copy(bzImage[0x202:], "HdrS\x0f\x02")
	bzImage[0x1fe], bzImage[0x1ff], bzImage[0x201], bzImage[0x211] = 0x55, 0xaa, 0x60, 1
	bios, uefi, rom := make([]byte, 64<<10), make([]byte, 64<<10), []byte{0x55, 0xaa}
	copy(uefi[40:], "_FVH")
	for name, b := range map[string][]byte{"bz": bzImage, "elf": []byte("\x7fELF"), "bios": bios, "uefi": uefi, kernelROM: rom} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	types := map[string]*pc.Type{}
	for _, m := range pc.Types() {
		types[m.Name] = m
	}
	for _, c := range []struct {
		machine, kernel, firmware string
		bios, rom                 []byte
	}{
		{"pc-q35-7.2", "bz", "uefi", uefi, nil},
		{"pc-i440fx-7.2", "bz", "bios", bios, rom},
		{"pc-i440fx-7.2", "bz", "", nil, nil},
		{"pc-i440fx-7.2", "elf", "bios", nil, nil},
		{"microvm", "bz", "bios", nil, nil},
	} {
		vm := &config.VM{DataDirs: []string{dir}, Firmware: c.firmware}
		vm.Boot.Kernel = filepath.Join(dir, c.kernel)
		b, r, err := kernelFirmware(vm, types[c.machine])
		require.NoError(t, err)
		assert.Equal(t, c.bios, b, "%v", c.machine)
		assert.Equal(t, c.rom, r, "%v", c.machine)
	}
}
