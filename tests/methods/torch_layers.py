"""PyTorch's own transformer layers, against which ours are held."""


def load(layer, block):
    """Give a :class:`torch.nn.TransformerEncoderLayer` the weights of a block of ours."""
    names = {
        "self_attn.in_proj_": block.qkv,
        "self_attn.out_proj.": block.out,
        "linear1.": block.expand,
        "linear2.": block.contract,
        "norm1.": block.norm_attention,
        "norm2.": block.norm_feed,
    }
    state = {n + k: getattr(m, k) for n, m in names.items() for k in ("weight", "bias")}
    layer.load_state_dict(state)
    return layer
