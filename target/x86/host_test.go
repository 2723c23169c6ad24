package x86

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHostModels: on a host every model has its vendor; "host" is the processor itself, which a translator cannot be.
func TestHostModels(t *testing.T) {
	all := everything()
	h := &Host{Vendor: VendorIntel, Family: 6, Model: 143, Stepping: 8, ModelID: "a processor", Level: 0x1f, XLevel: 0x80000008, PhysBits: 46, Features: *all, X2APIC: true}
	cfg, warnings, err := ParseHostOption("host,-avx2,kvm=off", h)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, Model{Name: "max", Notes: cfg.Model.Notes, Vendor: VendorIntel, Family: 6, Model: 143, Stepping: 8, Level: 0x1f, XLevel: 0x80000008,
		ModelID: "a processor", AllFeatures: true, PhysBits: 46}, *cfg.Model)
	avx2, _ := FeatureByName("avx2")
	require.True(t, cfg.HideKVM && !cfg.Features.Has(avx2) && cfg.Features.Has(FeatX2APIC) && cfg.Features.Has(FeatDeadline) && !cfg.Features.Has(FeatInvTSC))

	cfg, _, err = ParseHostOption("qemu64", h)
	require.NoError(t, err)
	require.Equal(t, VendorIntel, cfg.Model.Vendor)
	require.True(t, cfg.Features.Has(FeatX2APIC) && !cfg.Features.Has(FeatSVM))

	h.Features.Set(FeatPAE, false)
	_, warnings, err = ParseHostOption("qemu64,enforce", h)
	require.EqualError(t, err, "Host doesn't support requested features")
	require.Equal(t, []string{"host doesn't support requested feature: CPUID.01H:EDX.pae [bit 6]"}, warnings)
	_, _, err = ParseOption("host", all, "TCG")
	require.Error(t, err)
}
