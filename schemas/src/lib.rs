//! The stored contract: names, versions, codec, upcasters, samples.
