// SPDX-License-Identifier: Apache-2.0
//
// The instruction table: one line for each encoding. Decoding, execution, the translator's
// classes and the generated tests all follow from it.
//
//   [prefix] opcode[+count][/reg][m|r]   or   opcode.modrm      operation  operands  [L]
//
// prefix: NP, 66, F3 or F2 where it selects the instruction; +count: that many opcodes in a row;
// /reg: extension in ModRM.reg; m, r: memory or register form only; L: may carry LOCK (with a
// memory destination). Operand words are those of `OperandSpec`.
// Source: Intel SDM volume 2, appendix A.

enum InstructionRows {
    static let all = integer + system + floating

    static let integer = """
        00 add Eb,Gb L
        01 add Ev,Gv L
        02 add Gb,Eb
        03 add Gv,Ev
        04 add AL,Ib
        05 add Av,Iz
        06 pushSegment ES
        07 popSegment ES
        08 or Eb,Gb L
        09 or Ev,Gv L
        0A or Gb,Eb
        0B or Gv,Ev
        0C or AL,Ib
        0D or Av,Iz
        0E pushSegment CS
        10 adc Eb,Gb L
        11 adc Ev,Gv L
        12 adc Gb,Eb
        13 adc Gv,Ev
        14 adc AL,Ib
        15 adc Av,Iz
        16 pushSegment SS
        17 popSegment SS
        18 sbb Eb,Gb L
        19 sbb Ev,Gv L
        1A sbb Gb,Eb
        1B sbb Gv,Ev
        1C sbb AL,Ib
        1D sbb Av,Iz
        1E pushSegment DS
        1F popSegment DS
        20 and Eb,Gb L
        21 and Ev,Gv L
        22 and Gb,Eb
        23 and Gv,Ev
        24 and AL,Ib
        25 and Av,Iz
        27 daa
        28 sub Eb,Gb L
        29 sub Ev,Gv L
        2A sub Gb,Eb
        2B sub Gv,Ev
        2C sub AL,Ib
        2D sub Av,Iz
        2F das
        30 xor Eb,Gb L
        31 xor Ev,Gv L
        32 xor Gb,Eb
        33 xor Gv,Ev
        34 xor AL,Ib
        35 xor Av,Iz
        37 aaa
        38 cmp Eb,Gb
        39 cmp Ev,Gv
        3A cmp Gb,Eb
        3B cmp Gv,Ev
        3C cmp AL,Ib
        3D cmp Av,Iz
        3F aas
        40+8 inc Zv
        48+8 dec Zv
        50+8 push Zv
        58+8 pop Zv
        60 pusha
        61 popa
        62m bound Gv,Ma
        63 arpl Ew,Gw
        68 push Iz
        69 imul3 Gv,Ev,Iz
        6A push Is
        6B imul3 Gv,Ev,Is
        6C ins Yb,DX
        6D ins Yv,DX
        6E outs DX,Xb
        6F outs DX,Xv
        70+16 jcc Jb
        80/0 add Eb,Ib L
        80/1 or Eb,Ib L
        80/2 adc Eb,Ib L
        80/3 sbb Eb,Ib L
        80/4 and Eb,Ib L
        80/5 sub Eb,Ib L
        80/6 xor Eb,Ib L
        80/7 cmp Eb,Ib
        81/0 add Ev,Iz L
        81/1 or Ev,Iz L
        81/2 adc Ev,Iz L
        81/3 sbb Ev,Iz L
        81/4 and Ev,Iz L
        81/5 sub Ev,Iz L
        81/6 xor Ev,Iz L
        81/7 cmp Ev,Iz
        82/0 add Eb,Ib L
        82/1 or Eb,Ib L
        82/2 adc Eb,Ib L
        82/3 sbb Eb,Ib L
        82/4 and Eb,Ib L
        82/5 sub Eb,Ib L
        82/6 xor Eb,Ib L
        82/7 cmp Eb,Ib
        83/0 add Ev,Is L
        83/1 or Ev,Is L
        83/2 adc Ev,Is L
        83/3 sbb Ev,Is L
        83/4 and Ev,Is L
        83/5 sub Ev,Is L
        83/6 xor Ev,Is L
        83/7 cmp Ev,Is
        84 test Eb,Gb
        85 test Ev,Gv
        86 xchg Eb,Gb L
        87 xchg Ev,Gv L
        88 mov Eb,Gb
        89 mov Ev,Gv
        8A mov Gb,Eb
        8B mov Gv,Ev
        8Cr movFromSegment Rv,Sw
        8Cm movFromSegment Mw,Sw
        8Dm lea Gv,M
        8E movToSegment Sw,Ew
        8F/0 pop Ev
        90+8 xchg Zv,Av
        98 cbw
        99 cwd
        9A callFar Ap
        9B wait
        9C pushf
        9D popf
        9E sahf
        9F lahf
        A0 mov AL,Ob
        A1 mov Av,Ov
        A2 mov Ob,AL
        A3 mov Ov,Av
        A4 movs Yb,Xb
        A5 movs Yv,Xv
        A6 cmps Xb,Yb
        A7 cmps Xv,Yv
        A8 test AL,Ib
        A9 test Av,Iz
        AA stos Yb,AL
        AB stos Yv,Av
        AC lods AL,Xb
        AD lods Av,Xv
        AE scas AL,Yb
        AF scas Av,Yv
        B0+8 mov Zb,Ib
        B8+8 mov Zv,Iz
        C0/0 rol Eb,Ib
        C0/1 ror Eb,Ib
        C0/2 rcl Eb,Ib
        C0/3 rcr Eb,Ib
        C0/4 shl Eb,Ib
        C0/5 shr Eb,Ib
        C0/6 shl Eb,Ib
        C0/7 sar Eb,Ib
        C1/0 rol Ev,Ib
        C1/1 ror Ev,Ib
        C1/2 rcl Ev,Ib
        C1/3 rcr Ev,Ib
        C1/4 shl Ev,Ib
        C1/5 shr Ev,Ib
        C1/6 shl Ev,Ib
        C1/7 sar Ev,Ib
        C2 ret Iw
        C3 ret
        C4m les Gv,Mp
        C5m lds Gv,Mp
        C6/0 mov Eb,Ib
        C7/0 mov Ev,Iz
        C8 enter Iw,Ib
        C9 leave
        CA retFar Iw
        CB retFar
        CC int3
        CD int Ib
        CE into
        CF iret
        D0/0 rol Eb,I1
        D0/1 ror Eb,I1
        D0/2 rcl Eb,I1
        D0/3 rcr Eb,I1
        D0/4 shl Eb,I1
        D0/5 shr Eb,I1
        D0/6 shl Eb,I1
        D0/7 sar Eb,I1
        D1/0 rol Ev,I1
        D1/1 ror Ev,I1
        D1/2 rcl Ev,I1
        D1/3 rcr Ev,I1
        D1/4 shl Ev,I1
        D1/5 shr Ev,I1
        D1/6 shl Ev,I1
        D1/7 sar Ev,I1
        D2/0 rol Eb,CL
        D2/1 ror Eb,CL
        D2/2 rcl Eb,CL
        D2/3 rcr Eb,CL
        D2/4 shl Eb,CL
        D2/5 shr Eb,CL
        D2/6 shl Eb,CL
        D2/7 sar Eb,CL
        D3/0 rol Ev,CL
        D3/1 ror Ev,CL
        D3/2 rcl Ev,CL
        D3/3 rcr Ev,CL
        D3/4 shl Ev,CL
        D3/5 shr Ev,CL
        D3/6 shl Ev,CL
        D3/7 sar Ev,CL
        D4 aam Ib
        D5 aad Ib
        D6 salc
        D7 xlat
        E0 loopne Jb
        E1 loope Jb
        E2 loop Jb
        E3 jcxz Jb
        E4 in AL,Ib
        E5 in Av,Ib
        E6 out Ib,AL
        E7 out Ib,Av
        E8 call Jz
        E9 jmp Jz
        EA jmpFar Ap
        EB jmp Jb
        EC in AL,DX
        ED in Av,DX
        EE out DX,AL
        EF out DX,Av
        F1 int1
        F4 hlt
        F5 cmc
        F6/0 test Eb,Ib
        F6/1 test Eb,Ib
        F6/2 not Eb L
        F6/3 neg Eb L
        F6/4 mul Eb
        F6/5 imul1 Eb
        F6/6 div Eb
        F6/7 idiv Eb
        F7/0 test Ev,Iz
        F7/1 test Ev,Iz
        F7/2 not Ev L
        F7/3 neg Ev L
        F7/4 mul Ev
        F7/5 imul1 Ev
        F7/6 div Ev
        F7/7 idiv Ev
        F8 clc
        F9 stc
        FA cli
        FB sti
        FC cld
        FD std
        FE/0 inc Eb L
        FE/1 dec Eb L
        FF/0 inc Ev L
        FF/1 dec Ev L
        FF/2 call Ev
        FF/3m callFar Mp
        FF/4 jmp Ev
        FF/5m jmpFar Mp
        FF/6 push Ev
        0F40+16 cmov Gv,Ev
        0F80+16 jcc Jz
        0F90+16 set Eb
        0FA0 pushSegment FS
        0FA1 popSegment FS
        0FA3 bt Ev,Gv
        0FA4 shld Ev,Gv,Ib
        0FA5 shld Ev,Gv,CL
        0FA8 pushSegment GS
        0FA9 popSegment GS
        0FAB bts Ev,Gv L
        0FAC shrd Ev,Gv,Ib
        0FAD shrd Ev,Gv,CL
        0FAF imul2 Gv,Ev
        0FB0 cmpxchg Eb,Gb L
        0FB1 cmpxchg Ev,Gv L
        0FB2m lss Gv,Mp
        0FB3 btr Ev,Gv L
        0FB4m lfs Gv,Mp
        0FB5m lgs Gv,Mp
        0FB6 movzx Gv,Eb
        0FB7 movzx Gv,Ew
        0FB9 ud Gv,Ev
        0FBA/4 bt Ev,Ib
        0FBA/5 bts Ev,Ib L
        0FBA/6 btr Ev,Ib L
        0FBA/7 btc Ev,Ib L
        0FBB btc Ev,Gv L
        0FBC bsf Gv,Ev
        0FBD bsr Gv,Ev
        0FBE movsx Gv,Eb
        0FBF movsx Gv,Ew
        0FC0 xadd Eb,Gb L
        0FC1 xadd Ev,Gv L
        NP 0FC3m mov Md,Gd
        0FC7/1m cmpxchg8b Mq L
        0FC8+8 bswap Zv

        """

    static let system = """
        0F00/0r sldt Rv
        0F00/0m sldt Mw
        0F00/1r str Rv
        0F00/1m str Mw
        0F00/2 lldt Ew
        0F00/3 ltr Ew
        0F00/4 verr Ew
        0F00/5 verw Ew
        0F01/0m sgdt M
        0F01/1m sidt M
        0F01/2m lgdt M
        0F01/3m lidt M
        0F01/4r smsw Rv
        0F01/4m smsw Mw
        0F01/6 lmsw Ew
        0F01/7m invlpg M
        0F01.C1 vmcall
        0F02 lar Gv,Ew
        0F03 lsl Gv,Ew
        0F06 clts
        0F08 invd
        0F09 wbinvd
        0F0B ud
        0F0D prefetch Ev
        0F18+7 nop Ev
        0F1F nop Ev
        0F20 movFromControl Rd,Cd
        0F21 movFromDebug Rd,Dd
        0F22 movToControl Cd,Rd
        0F23 movToDebug Dd,Rd
        0F30 wrmsr
        0F31 rdtsc
        0F32 rdmsr
        0F33 rdpmc
        0F34 sysenter
        0F35 sysexit
        0FA2 cpuid
        0FFF ud Gv,Ev

        """
}
