"""From a manifest to training samples: decoding, labels, augmentation, drawn images."""
