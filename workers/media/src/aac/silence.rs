//! A frame of silence: what a raw_data_block (ISO 14496-3 §4.4.2.1) looks
//! like when no scale factor band is coded.

use bytes::Bytes;

use super::bits::BitWriter;

/// id_syn_ele, table 4.85.
const ID_SCE: u32 = 0;
const ID_CPE: u32 = 1;
const ID_END: u32 = 7;

/// One AAC-LC frame of digital silence for 1 or 2 channels, any sample rate;
/// `None` for other layouts.
///
/// The frame before it still rings out into it, as overlapping windows do.
pub fn silent_frame(channels: u8) -> Option<Bytes> {
    let mut bits = BitWriter::default();
    match channels {
        1 => {
            // single_channel_element, table 4.4
            bits.write(ID_SCE, 3).write(0, 4);
            individual_channel_stream(&mut bits, false);
        }
        2 => {
            // channel_pair_element, table 4.5
            bits.write(ID_CPE, 3).write(0, 4);
            bits.write(1, 1); // common_window
            ics_info(&mut bits);
            bits.write(0, 2); // ms_mask_present
            individual_channel_stream(&mut bits, true);
            individual_channel_stream(&mut bits, true);
        }
        _ => return None,
    }
    bits.write(ID_END, 3);
    Some(bits.finish().into())
}

/// Table 4.6: one long window in which no band is coded.
fn ics_info(bits: &mut BitWriter) {
    bits.write(0, 1); // ics_reserved_bit
    bits.write(0, 2); // window_sequence: ONLY_LONG_SEQUENCE
    bits.write(0, 1); // window_shape: sine
    bits.write(0, 6); // max_sfb
    bits.write(0, 1); // predictor_data_present
}

/// Table 4.50. With max_sfb 0, section_data, scale_factor_data and
/// spectral_data have no bits.
fn individual_channel_stream(bits: &mut BitWriter, common_window: bool) {
    bits.write(0, 8); // global_gain
    if !common_window {
        ics_info(bits);
    }
    bits.write(0, 1); // pulse_data_present
    bits.write(0, 1); // tns_data_present
    bits.write(0, 1); // gain_control_data_present
}
