"""The words of `cues`, by what they name. Vietnamese, English, and what people type in a hurry.

`OTHER` are words for numbers that are nobody's: orders, laws, barcodes, versions. An empty kind are
phrases that hold a cue's word and mean something else.
"""

from __future__ import annotations

from typing import Final

OTHER: Final = "OTHER"
ISSUED: Final = "ISSUED"  # "cấp ngày", "do Công an … cấp": of papers that prove who one is
DOB: Final = "DOB"
BANK: Final = "BANK"  # the name of a bank, or a transfer: an account may follow, or an amount

NAMED_BY: Final = {
    "CCCD": (
        "cccd,căn cước,căn cước công dân,căn cước công dân số,công dân số,thẻ căn cước,số căn cước,số định danh,mã định danh,"
        "định danh cá nhân,mã số định danh,số định danh cá nhân,ddcn,citizen id,citizen identity,"
        "citizen identity card,identity card,id card,id number,id no,national id,national id number,"
        "identification number,identity number,personal id,vneid,số giấy tờ,giấy tờ tùy thân,cc cd,"
        "cmnd cccd,cccd cmnd,cmt cccd,cccd gắn chip,căn cước gắn chip,cin,cccd số,so cc,citizenid,"
        "id document,identity document"
    ),
    "CMND": (
        "cmnd,cmt,cmtnd,chứng minh,chứng minh nhân dân,chứng minh thư,chứng minh nhân dân số,"
        "số chứng minh,giấy chứng minh,cmnd số,cmt số,scmnd,old id,old id card"
    ),
    "PASSPORT": (
        "hộ chiếu,số hộ chiếu,passport,passport no,passport number,passport num,pp,pp no,ppno,"
        "travel document,sổ hộ chiếu,hc số,hchieu,số hc,passportno"
    ),
    "MST": (
        "mst,mã số thuế,mã thuế,số thuế,mst cá nhân,mst cn,mst dn,mst công ty,mã số thuế cá nhân,"
        "tax code,tax id,tax no,tax number,tax identification,tax identification number,vat code,"
        "vat number,vat no,mã số doanh nghiệp,msdn,mã số dn,personal tax code,mst tncn,tax,"
        "tin number,pit code,business registration number,business code,đkkd"
    ),
    "BHXH": (
        "bhxh,bảo hiểm xã hội,mã bhxh,số bhxh,sổ bhxh,số sổ bhxh,mã số bhxh,"
        "bảo hiểm xã hội số,số sổ,mã số bảo hiểm,số bảo hiểm,social insurance,"
        "social insurance number,social insurance no,social insurance code,si number,si code,si book,si book no,si no,insurance book no,sổ bảo hiểm"
    ),
    "BHYT": (
        "bhyt,bảo hiểm y tế,thẻ bhyt,thẻ bảo hiểm,mã thẻ bhyt,số thẻ bhyt,health insurance,"
        "health insurance card,health insurance number,mã thẻ bảo hiểm,thẻ bảo hiểm y tế,"
        "insurance card,bảo hiểm y tế số,số thẻ bảo hiểm,health card"
    ),
    "BANK_ACCOUNT": (
        "stk,số tk,tk,tài khoản,số tài khoản,tài khoản số,tk số,tknh,tk nh,tài khoản ngân hàng,"
        "số tài khoản ngân hàng,account,account number,account no,acct,acct no,acc,acc no,a c,a c no,"
        "bank account,bank account number,bank acc,bank acct,accountno,tài khoản nhận,tài khoản hưởng,"
        "tài khoản thụ hưởng,người thụ hưởng,thụ hưởng,beneficiary account,stk ngân hàng,"
        "số tài khoản nhận tiền,tài khoản lương,so tk nh,tài khoản nhận tiền,tk nhận,tk ngân hàng,"
        "iban number,checking account,savings account,số stk"
    ),
    BANK: (
        "vietcombank,vcb,bidv,acb,techcombank,tcb,tpbank,tpb,mb,mbbank,mb bank,agribank,vietinbank,"
        "vtb,sacombank,vpbank,vp bank,vib,shb,hdbank,ocb,msb,seabank,eximbank,scb,lienvietpostbank,"
        "lpbank,nam á bank,bắc á bank,abbank,kienlongbank,vietbank,bảo việt bank,pvcombank,ncb,"
        "shinhan,shinhan bank,hsbc,standard chartered,citibank,woori,woori bank,uob,cimb,cake,timo,"
        "đông á bank,saigonbank,vietabank,gpbank,cbbank,oceanbank,public bank,ngân hàng,bank,nhnn,"
        "chuyển khoản,ck,chuyển tiền,chuyển vào,ck vào,ck qua,ck cho,bank transfer,transfer to,"
        "wire to,deposit to,nạp vào,gửi vào,chuyển khoản vào,chuyển khoản cho,chuyển khoản qua,"
        "chủ tài khoản,chủ tk,ctk,vietcom,techcom,viettinbank,bao viet bank,vikki,kbank,indovina,ivb"
    ),
    "CREDIT_CARD": (
        "số thẻ,thẻ tín dụng,thẻ ghi nợ,thẻ visa,thẻ mastercard,thẻ atm,thẻ ngân hàng,thẻ jcb,"
        "credit card,debit card,card number,card no,card num,visa,mastercard,master card,jcb,amex,"
        "american express,napas,thẻ napas,thẻ thanh toán,cc number,cardnumber,credit card number,"
        "số thẻ tín dụng,thẻ,card,visa card,cc,thẻ nội địa,diners club,maestro,unionpay,pan"
    ),
    "PHONE": (
        "đt,sđt,số đt,điện thoại,số điện thoại,đtdđ,dđ,di động,số di động,mobile,mobile number,phone,"
        "phone no,phone number,telephone,tel,tel no,cell,cell phone,cellphone,cell number,call,"
        "call me,call me at,text me,gọi,gọi số,lh,liên hệ,liên lạc,hotline,zalo,số zalo,viber,"
        "whatsapp,telegram,sms,nhắn tin,nhắn vào,nhắn số,nhắn qua,fax,momo,ví momo,số momo,zalopay,contact,contact number,"
        "contact no,alo,số máy,số liên lạc,sdt zalo,đt zalo,ring,reach me at,reach me on,my number,"
        "your number,his number,her number,phoneno,mobileno,số của mình,số của em,số của anh,số em,"
        "số mình,số anh,số chị,số mới,số cũ,điện thoại liên hệ,đt liên hệ,handphone,hp no,máy bàn,"
        "số phụ,số chính,gọi lại,gọi cho,call back,extension,landline,work number,home number,dtlh,"
        "liên hệ qua,kết bạn,zl,phone num,mobile phone,call us,call us at,reached at,tele,answering at,messages to,"
        "dial,voicemail,desk,direct line,office phone,home phone,work phone"
    ),
    "LICENSE_PLATE": (
        "biển số,bks,biển kiểm soát,bsx,biển số xe,biển xe,bs xe,license plate,licence plate,"
        "number plate,plate,plate number,plate no,registration plate,xe,ô tô,oto,xe máy,xe số,"
        "đăng ký xe,car,vehicle,biển,bs,bien so kiem soat,reg no,xe tải,xe hơi,motorbike,biển đăng ký"
    ),
    "US_SSN": (
        "ssn,social security,social security number,social security no,soc sec,ss number,social"
    ),
    "DRIVER_LICENSE": (
        "gplx,giấy phép lái xe,bằng lái,bằng lái xe,số gplx,driver license,drivers license,"
        "driver s license,driver licence,driver s licence,driving licence,driving license,"
        "driver license number,drivers license number,driver s license number,dl number,dl no"
    ),
    ISSUED: (
        "cấp ngày,ngày cấp,nơi cấp,cấp tại,do công an,cấp bởi,do cục cảnh sát,do cục cs,do ca,"
        "do phòng quản lý xuất nhập cảnh,cục qlxnc,issued on,issued by,issued at,date of issue"
    ),
    DOB: (
        "ngày sinh,năm sinh,sinh ngày,ngày tháng năm sinh,dob,date of birth,birth date,birthdate,"
        "birthday,ns,d o b,sinh năm,born,born on"
    ),
    "IP": "ip,ipv4,ipv6,địa chỉ ip,ip address,ip addr,remote addr,client ip,source ip",
    OTHER: (
        "đơn hàng,mã đơn,mã đơn hàng,số đơn hàng,vận đơn,mã vận đơn,số vận đơn,hóa đơn,hoá đơn,"
        "số hóa đơn,số hoá đơn,hợp đồng,số hợp đồng,mã hợp đồng,isbn,issn,barcode,mã vạch,sku,"
        "serial,serial number,serial no,seri,số seri,số sê ri,imei,build,version,ver,phiên bản,"
        "timestamp,unix time,epoch,log id,request id,trace id,session id,ticket,ticket id,case id,"
        "case number,case no,order,order id,order no,order number,invoice,invoice no,invoice number,"
        "tracking,tracking number,tracking id,tracking code,mã giao dịch,giao dịch,transaction,"
        "transaction id,transaction no,mã tham chiếu,số tham chiếu,reference,reference number,ref,"
        "ref no,mssv,msv,mã sinh viên,mã học sinh,mã số sinh viên,mã nhân viên,mã nv,msnv,"
        "mã bệnh nhân,mã bn,mã hồ sơ,số hồ sơ,hồ sơ số,mã khách hàng,mã kh,customer id,"
        "customer number,employee id,luật số,nghị định,thông tư,quyết định,quyết định số,công văn,"
        "công văn số,dân số,population,tọa độ,toạ độ,coordinates,kinh độ,vĩ độ,latitude,longitude,"
        "lat,lng,lon,mã chứng khoán,mã sản phẩm,mã sp,mã hàng,product id,product code,part number,"
        "part no,item no,item number,item,model,model no,sha1,sha256,md5,hash,checksum,commit,"
        "port,doanh thu,lợi nhuận,vốn điều lệ,số tiền,tổng cộng,tổng tiền,thành tiền,amount,total,"
        "price,số lượng,quantity,qty,kết quả đo,đo được,mã tra cứu,mã báo cáo,số lô,lô hàng,lot,"
        "batch,số khung,vin,chuyến bay,flight,mã đặt chỗ,mã đặt vé,pnr,booking,booking code,"
        "booking id,mac,gtin,ean,upc,asin,mã pe,số công tơ,tờ bản đồ,thửa đất,số thửa,"
        "số vào sổ,otp,mã otp,mã xác nhận,mã xác thực,revenue,profit,giá trị,giá bán,đơn giá,"
        "trị giá,ngân sách,dự toán,kinh phí,budget,sales,id giao dịch,mã gd,số bút toán,"
        "số chứng từ,mã số mẫu,sequence,seq,offset,size,bytes,user id,uid,uuid,guid,"
        "post id,message id,thread id,process id,pid,exit code,error code,mã lỗi,job id,run id,"
        "device id,android id,số ký hiệu,ký hiệu,mẫu số,văn bản số,tài liệu số,document no,document number,"
        "patent,bằng sáng chế,số đăng ký thuốc,sđk,visa thuốc,lô sản xuất,mã lô,mã số lô,mã kiện,"
        "mã bưu gửi,bưu gửi,voucher,coupon,mã giảm giá,mã khuyến mãi,promo code,mã vé,số vé,vé số,"
        "mã dự thưởng,xổ số,giải đặc biệt,kết quả xổ số,số trúng thưởng,seed,nonce,"
        "mã lớp,mã học phần,mã môn,mã trường,mã đề,số báo danh,sbd,pixel,pixels,"
        "tần số,frequency,cas,cas no,pi,số pi,cves,cve,giá,gia vang,tỉ giá,tỷ giá,exchange rate"
    ),
    "": (
        "quốc gia,gia đình,tham gia,gia nhập,gia tăng,thể loại,tax rate,credit card company,"
        "tên tài khoản,tài khoản facebook,visa du lịch,xin visa,làm visa"
    ),
}

# Words that may stand between a cue and its number without making it another's.
FILLERS: Final = (
    "là số no is was of the của tôi mình em anh chị bạn ông bà cô chú bác cháu num number mới cũ sau"
    " này nay đây theo qua đến ở tại my your his her our their its at on for to with a an nhé nha ạ"
    " được như và or and hoặc hay cá nhân riêng chính phụ khác here are as via by please pls code mã"
    " id value đang hiện người dùng khách hàng kh cty công ty doanh nghiệp vn vietnam việt nam ngân"
    " log trên trong hệ thống e t m mẹ bố vợ chồng con thì dưới bên below following new old current"
    " primary personal company customer client user ghi cấp nó họ them it hạng b1 b2 a1 a2 c d loại type"
)
