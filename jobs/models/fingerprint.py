"""Perceptual hashes of outputs, by which an image is found whose metadata was stripped."""

from __future__ import annotations

from django.db import models

BANDS, BAND_BITS = 4, 16


class Fingerprint(models.Model):
    """64-bit difference hash of an output, in bands. Hashes that differ in at most 3 bits share a band."""

    output = models.OneToOneField(
        "jobs.Output", on_delete=models.CASCADE, primary_key=True, related_name="fingerprint"
    )
    source = models.ForeignKey(
        "access.BusinessSource", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    band_0 = models.PositiveIntegerField()
    band_1 = models.PositiveIntegerField()
    band_2 = models.PositiveIntegerField()
    band_3 = models.PositiveIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["source", f"band_{index}"], name=f"fingerprint_band_{index}")
            for index in range(BANDS)
        ]

    def __str__(self) -> str:
        return f"{self.value:016x}"

    @property
    def value(self) -> int:
        bands = (self.band_0, self.band_1, self.band_2, self.band_3)
        return sum(band << BAND_BITS * index for index, band in enumerate(bands))


def bands_of(value: int) -> dict[str, int]:
    """Columns of a hash."""
    return {f"band_{index}": value >> BAND_BITS * index & 0xFFFF for index in range(BANDS)}
